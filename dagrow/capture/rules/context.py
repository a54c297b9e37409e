"""What a rule is given: one operation of the captured graph, the dimensions of its inputs, and what it may say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from dagrow.capture.dims import PACKED, Dim, fix, unify
from dagrow.capture.inplace import plain_name
from dagrow.capture.values import Normalisation, Role, Source, Use, Value

__all__ = ["KERNEL", "PACKED", "PICKED", "POSITION", "VOCABULARY", "Context", "Findings", "NoRule", "Rule"]

Values = dict[fx.Node, "Value | tuple[Value, ...]"]
"""Per node its value, or one per output."""

Result = "Value | tuple[Value, ...]"

POSITION = "it is a position"
KERNEL = "it is a kernel"
VOCABULARY = "it is a vocabulary"
PICKED = "its entries are picked one by one"


class NoRule(Exception):
    """A rule does not cover this form of its operation: it is named, and its dimensions are fixed."""


@dataclass
class Findings:
    """What rules find beside dimensions.

    Attributes:
        uses: of axes of the module's tensors, in the order of the graph.
        normalisations: over channels.
        coupled: dimensions that grow by as many entries as another, each pair with the reason if they cannot.
        contracted: dimensions over which two activations are multiplied, as queries and keys.
        unknown: operations without a rule, with how often they occur.
        labels: what atoms are called in attention: ``heads``, ``query_key``, ``value``.
        shared: names of tensors of the module that several operations use.
    """

    uses: list[Use] = field(default_factory=list)
    normalisations: list[Normalisation] = field(default_factory=list)
    coupled: list[tuple[Dim, Dim]] = field(default_factory=list)
    contracted: list[Dim] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    labels: list[tuple[Dim, str]] = field(default_factory=list)
    shared: frozenset[str] = frozenset()


def sizes(value: Tensor) -> tuple[int, ...]:
    """The extents of a traced tensor; of a free batch, that of the example."""
    return tuple(size if isinstance(size, int) else int(size.node.hint) for size in value.shape)


def fresh(value: Tensor, reason: str | None = None) -> Value:
    """A value whose dimensions are those of nothing else."""
    dims = tuple(Dim(size) for size in sizes(value))
    if reason is not None:
        for dim in dims:
            fix(dim, reason)
    return Value(dims)


@dataclass(frozen=True)
class Context:
    """One operation.

    Attributes:
        node: of the graph.
        values: of all nodes before it.
        found: where a rule adds what it finds.
    """

    node: fx.Node
    values: Values
    found: Findings

    @property
    def name(self) -> str:
        """Of the operation, without overload."""
        return op_name(self.node)

    @property
    def where(self) -> str:
        """The operation, for reasons: its name and the layer that calls it."""
        owner = owner_path(self.node)
        return f"{self.name} in {owner}" if owner else self.name

    @property
    def out(self) -> Any:
        """The traced result."""
        return self.node.meta["val"]

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the result, or of its first part."""
        out = self.out
        return sizes(out if isinstance(out, Tensor) else out[0])

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        """An argument by its position or name."""
        if len(self.node.args) > index:
            return self.node.args[index]
        return self.node.kwargs.get(name, default)

    def number(self, index: int, name: str, default: Any = None) -> Any:
        """An argument that is a number, though it may be computed from a shape."""
        found = self.argument(index, name, default)
        return concrete(found)

    def value(self, argument: Any) -> Value:
        """The value of an argument that is a tensor."""
        found = self.values[argument]
        assert isinstance(found, Value)
        return found

    def has(self, argument: Any) -> bool:
        """Whether an argument is a tensor that is known."""
        return isinstance(argument, fx.Node) and isinstance(self.values.get(argument), Value)

    def tensors(self, arguments: Sequence[Any]) -> list[Value]:
        """The values of those arguments that are tensors."""
        return [self.value(argument) for argument in arguments if self.has(argument)]

    def unify(self, one: Dim, other: Dim) -> None:
        """Two dimensions are the same."""
        unify(one, other, self.where)

    def use(self, value: Value, axis: int, role: Role) -> None:
        """An axis of a value that is a view of a tensor of the module has a role; of others nothing is said."""
        source, axis = value.source, axis % len(value.dims)
        if source is not None and (own := source.axes[axis]) is not None:
            self.found.uses.append(Use(self.node.name, source.name, own, role, value.dims[axis]))

    def read(self, weight: Value, axis: int, dim: Dim) -> None:
        """An axis of a weight is contracted with a dimension of an activation.

        Where other operations use the same tensor, the two grow alike, but need not be the same channels.
        """
        axis %= len(weight.dims)
        self.use(weight, axis, Role.READ)
        if weight.source is not None and weight.source.name in self.found.shared:
            self.found.coupled.append((weight.dims[axis], dim))
        else:
            self.unify(dim, weight.dims[axis])

    def positions(self, count: int) -> tuple[Dim, ...]:
        """New dimensions for the last axes of the result: positions, which growth leaves alone."""
        return tuple(position(size) for size in self.shape[len(self.shape) - count :])

    def normalisation(self, kind: str, before: Dim, weight: Value | None, eps: float | None) -> Dim:
        """A norm over the channels of ``before``; the dimension of its result."""
        after = Dim(before.size)
        name = weight.source.name if weight is not None and weight.source is not None else None
        owner = name.rpartition(".")[0] if name else owner_path(self.node)
        self.found.normalisations.append(Normalisation(kind, self.node.name, before, after, name, owner, eps))
        self.found.coupled.append((before, after))
        return after


Rule = Callable[[Context], "Value | tuple[Value, ...]"]
"""The dimensions of an operation's result, after those of its inputs were unified."""


def op_name(node: fx.Node) -> str:
    """``relu`` for ``aten.relu.default``, and for ``aten.relu_.default``."""
    return plain_name(node)


def owner_path(node: fx.Node) -> str:
    """The path of the innermost module that calls an operation; the empty string for the model itself."""
    stack = node.meta.get("nn_module_stack") or {}
    last = list(stack.values())[-1] if stack else ("", "")
    return str(last[0]).removeprefix("L['self'].").removeprefix("L['self']")


def concrete(value: Any) -> Any:
    """A number where a graph has a number or something computed from a shape."""
    if isinstance(value, fx.Node):
        value = value.meta.get("val")
    return int(value.node.hint) if isinstance(value, torch.SymInt) else value


def position(size: int) -> Dim:
    """A dimension of positions."""
    dim = Dim(size)
    fix(dim, POSITION)
    return dim


def together(context: Context, dims: Sequence[Dim]) -> Dim:
    """One dimension for axes that are broadcast against one another."""
    wide = [dim for dim in dims if dim.now.size != 1] or list(dims)
    for dim in wide[1:]:
        context.unify(wide[0], dim)
    return wide[0]


def broadcast(context: Context, values: Sequence[Value]) -> Value:
    """The value that comes of values that are combined entry by entry, aligned at their last axes."""
    rank = len(context.shape)
    dims = []
    for axis in range(rank):
        found = [v.dims[axis - rank + len(v.dims)] for v in values if axis - rank + len(v.dims) >= 0]
        dims.append(together(context, found) if found else Dim(context.shape[axis]))
    return Value(tuple(dims))


def spread(source: Source | None, rank: int) -> Source | None:
    """The source of a value that is broadcast to more axes."""
    if source is None:
        return None
    return Source(source.name, (*[None] * (rank - len(source.axes)), *source.axes))
