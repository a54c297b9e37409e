"""One operation that new channels pass, and the error that says that they cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from dagrow.capture import Dim, atoms
from dagrow.capture.inplace import plain_name


class NoLinearPath(Exception):
    """New channels pass an operation that is not linear in them; the text says which, for the reason in a plan."""


@dataclass(frozen=True)
class Passage:
    """One operation that new channels pass.

    Attributes:
        node: of the graph.
        new: per node that carries new channels, these alone.
        base: values of other nodes, where the operation needs them.
        outputs: per node, the dimensions of each of its results.
        growing: atoms of the space.
        sizes: extents of atoms that are not as in the example: the new channels, the batch.
    """

    node: fx.Node
    new: Mapping[fx.Node, Any]
    base: Mapping[fx.Node, Any]
    outputs: Callable[[fx.Node], tuple[tuple[Dim, ...], ...]]
    growing: frozenset[Dim]
    sizes: Mapping[Dim, int]

    @property
    def x(self) -> Tensor:
        """The new channels that come in first."""
        found: Tensor = next(self.new[node] for node in self.node.all_input_nodes if node in self.new)
        return found

    def dims(self, node: fx.Node) -> tuple[Dim, ...]:
        """The dimensions of a value; of several tensors, those of all."""
        return tuple(dim for dims in self.outputs(node) for dim in dims)

    @property
    def carrying(self) -> list[fx.Node]:
        """Inputs that can hold channels of the space."""
        return [n for n in self.node.all_input_nodes if n in self.new or self.hold(self.dims(n))]

    def hold(self, dims: Sequence[Dim]) -> bool:
        """Whether some of these dimensions hold channels of the space."""
        return any(atom in self.growing for dim in dims for atom in atoms(dim))

    @property
    def shape(self) -> list[int]:
        """Of the result, with the new channels alone."""
        return [self.size(dim) for dim in self.dims(self.node)]

    def refuse(self, why: str) -> NoLinearPath:
        """An error about this operation."""
        return NoLinearPath(f"{plain_name(self.node)} {why}")

    def size(self, dim: Dim) -> int:
        """Extent of a dimension with the new channels alone."""
        dim = dim.now
        if dim.kind == "atom":
            return self.sizes.get(dim, dim.size)
        parts = [part for part in dim.parts if dim.kind == "product" or self.hold((part,))]
        found = [self.size(part) for part in parts or dim.parts]
        return sum(found) if dim.kind == "concat" else math.prod(found)
