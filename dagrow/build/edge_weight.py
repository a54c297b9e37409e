"""Weight and bias of an edge: read from a network's state and written for it, in one form for all ops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from dagrow.build.emit import edge_module
from dagrow.ops import Op
from dagrow.spec.graph import EdgeId


class EdgeWeight(NamedTuple):
    """What an edge has learned, or something to be added to it.

    Attributes:
        weight: output features first, input features second, however the layer keeps it.
        bias: ``[output features]``; None where the edge has none.
    """

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def read(cls, state: Mapping[str, Tensor], op: Op, edge: EdgeId) -> EdgeWeight:
        """Of an edge with that op, from the state of its network."""
        layer = edge_module(edge)
        return cls(op.unstored(state[f"{layer}.weight"]), state.get(f"{layer}.bias"))

    def entries(self, op: Op, edge: EdgeId) -> dict[str, Tensor]:
        """The tensors of the edge's layer, as it keeps them, by their keys in the network's state."""
        layer = edge_module(edge)
        weight = {f"{layer}.weight": op.stored(self.weight)}
        return weight if self.bias is None else {**weight, f"{layer}.bias": self.bias}

    def scaled(self, factor: float) -> EdgeWeight:
        """Both multiplied."""
        return EdgeWeight(self.weight * factor, None if self.bias is None else self.bias * factor)

    def __neg__(self) -> EdgeWeight:
        return EdgeWeight(-self.weight, None if self.bias is None else -self.bias)
