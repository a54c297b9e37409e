"""Where the weights of a unit are: its fan-in and its fan-out, over all edges that hold a part of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from dagrow.build.emit import edge_module
from dagrow.graph import Dag, GrowableNode, site, span
from dagrow.ops import Op
from dagrow.registry import Registry
from dagrow.spec.graph import EdgeId

UNIT_AXIS = "unit_axis"
"""Entry of a parameter group of an optimizer that tells units apart: the axis of its weights that counts them."""


@dataclass(frozen=True)
class Block:
    """The entries of a tensor that belong to units: along one axis, unit by unit, each as wide as the others.

    Attributes:
        key: of the tensor in the state dict.
        axis: that counts the units.
        start: the first entry of the first unit.
        width: entries per unit.
    """

    key: str
    axis: int
    start: int = 0
    width: int = 1

    def rows(self, tensor: Tensor, count: int) -> Tensor:
        """The entries as ``[units, entries of one unit]``."""
        return self.part(tensor, count).movedim(self.axis, 0).reshape(count, -1)

    def part(self, tensor: Tensor, count: int) -> Tensor:
        """A view of the entries of ``count`` units, where they are."""
        return tensor.narrow(self.axis, self.start, count * self.width)

    def spread(self, per_unit: Tensor, dim: int) -> Tensor:
        """One number per unit, in a shape that multiplies `part` of a tensor of ``dim`` axes."""
        wide = per_unit if self.width == 1 else per_unit.repeat_interleave(self.width)
        return wide.view([-1 if i == self.axis else 1 for i in range(dim)])


@dataclass(frozen=True)
class UnitWeights:
    """One side of all units of a node.

    Attributes:
        node: or input.
        count: of units.
        blocks: that together hold the fan-in, or the fan-out, of each unit.
    """

    node: str
    count: int
    blocks: tuple[Block, ...]

    def squares(self, state: dict[str, Tensor]) -> Tensor:
        """``[units]``, the squared length of each."""
        parts = [block.rows(state[block.key], self.count).square().sum(1) for block in self.blocks]
        return sum(parts[1:], start=parts[0])


def fan_ins(dag: Dag) -> list[UnitWeights]:
    """The fan-in of every unit, biases included: they are weights of an input that is always 1.

    Edges into a concat write units of their own.
    """
    found = []
    for node in dag.order:
        edges = [edge for edge in dag.incoming[node] if dag.op(edge).parametrised]
        for together in [edges] if dag.node(node).merge == "sum" else [[edge] for edge in edges]:
            if together:
                blocks = tuple(block for edge in together for block in _into(dag, edge))
                found.append(UnitWeights(node, dag.written(together[0]).channels, blocks))
    return found


def fan_outs(dag: Dag) -> list[UnitWeights]:
    """The fan-out of every unit and of every feature of an input, as far as edges with weights read it.

    Where a node cannot be followed through identity edges, only what reads it directly counts.
    """
    found = []
    for name in (*dag.spec.inputs, *dag.order):
        place = site(dag, name) if name in dag.spec.nodes else None
        if isinstance(place, GrowableNode):
            blocks = tuple(reading_block(dag, place, index) for index in range(len(place.readings)))
            found.append(UnitWeights(name, dag.size(name), blocks))
        elif edges := [e for e in dag.outgoing[name] if _read_whole(dag.op(e))]:
            blocks = tuple(Block(f"{edge_module(edge)}.weight", dag.op(edge).weight_axes[1]) for edge in edges)
            found.append(UnitWeights(name, dag.output(name).channels, blocks))
    return found


def _read_whole(op: Op) -> bool:
    """Whether each output of an op has one weight, or kernel, per feature of its parent."""
    return op.parametrised and op.reads_values and op.output_groups == 1


SIDES: Registry[Callable[[Dag], list[UnitWeights]]] = Registry("side", {"fan_in": fan_ins, "fan_out": fan_outs})


def unit_axes(dag: Dag) -> dict[str, int]:
    """The axis that counts the units of a node in the weight of each edge into it, by the weight's key.

    All other tensors have one axis.
    """
    edges = (edge for edge in dag.spec.edges if dag.op(edge).parametrised)
    return {f"{edge_module(edge)}.weight": dag.op(edge).weight_axes[0] for edge in edges}


def reading_block(dag: Dag, place: GrowableNode, index: int) -> Block:
    """What an edge reads of the units of a node that can grow."""
    edge = place.readings[index].edge
    read = span(dag, place.node, place.readings[index])
    return Block(f"{edge_module(edge)}.weight", dag.op(edge).weight_axes[1], read.start, read.width)


def _into(dag: Dag, edge: EdgeId) -> list[Block]:
    op, path = dag.op(edge), edge_module(edge)
    return [Block(f"{path}.weight", op.weight_axes[0]), *([Block(f"{path}.bias", 0)] if op.has_bias else [])]
