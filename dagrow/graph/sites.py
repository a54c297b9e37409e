"""Where a graph may grow: which edges read a node's features, and why some nodes have a fixed size.

An identity edge hands features on. Into a concat node the features keep a place of their own, so a new
feature passes through to whatever reads the concat; into a sum node they share their places with others,
and the sizes of both ends are one size (a coupled channel space), which cannot change at one end.
"""

from __future__ import annotations

from dataclasses import dataclass

from dagrow.graph.dag import Dag
from dagrow.spec.graph import EdgeId
from dagrow.stages import used_stages

MOST_PASSED = 100
"""Concats that features may pass one after the other to be followed."""


@dataclass(frozen=True)
class Consumer:
    """One edge that reads the features of a growing node.

    Attributes:
        edge: the edge with weights that reads them.
        through: concat nodes that the features pass on the way, in order.
        flattened: whether positions have become features on the way.
    """

    edge: EdgeId
    through: tuple[str, ...]
    flattened: bool


@dataclass(frozen=True)
class ChannelRange:
    """Where the features of a node stand among those that an edge reads: side by side, in their order.

    Attributes:
        start: of the first one.
        width: entries per feature; one per position where maps were flattened, channel major.
        widths: the same in each concat node passed on the way.
    """

    start: int
    width: int
    widths: tuple[int, ...]


def span(dag: Dag, node: str, reading: Consumer) -> ChannelRange:
    """Follows the features of a node to an edge that reads them."""
    start, width, widths = 0, 1, []
    names = (node, *reading.through)
    for name, following in zip(names, (*reading.through, None), strict=True):
        if dag.node(name).flatten and dag.merged(name).positions:
            positions = dag.pooled(name).position_count
            start, width = start * positions, width * positions
        if following is not None:
            start += dag.slots(following)[EdgeId(name, following)].start
            widths.append(width)
    return ChannelRange(start, width, tuple(widths))


def in_concat(dag: Dag, node: str, reading: Consumer, index: int) -> tuple[int, int]:
    """Where the features of a node start in a concat that they pass, and how wide each is there."""
    upto = Consumer(reading.edge, reading.through[:index], reading.flattened)
    name, source = reading.through[index], (node, *reading.through)[index]
    before = span(dag, node, upto)
    return before.start + int(dag.slots(name)[EdgeId(source, name)].start), before.width


@dataclass(frozen=True)
class GrowableNode:
    """A node that can take new features.

    Attributes:
        node: its name.
        readings: every edge that reads its features; children in topological order.
    """

    node: str
    readings: tuple[Consumer, ...]

    @property
    def passed(self) -> tuple[str, ...]:
        """Concat nodes that grow along with the node."""
        return tuple(dict.fromkeys(name for reading in self.readings for name in reading.through))


@dataclass(frozen=True)
class NotGrowable:
    """A node that cannot take new features, and the reason."""

    node: str
    reason: str


def site(dag: Dag, name: str) -> GrowableNode | NotGrowable:
    """Whether and how a node can be widened."""
    if dag.node(name).merge == "concat":
        return NotGrowable(name, "a concat node has the size of what it joins; its parents can grow")
    if dag.node(name).merge == "multiply":
        return NotGrowable(name, "a product has the size of its factors, and both would have to grow at once")
    if not any(dag.op(edge).parametrised for edge in dag.incoming[name]):
        return NotGrowable(name, "no edge with weights writes it")
    for edge in dag.incoming[name]:
        if not dag.op(edge).parametrised:
            return NotGrowable(name, f"the {dag.op(edge).name} edge {edge} ties its size to that of '{edge.source}'")
    try:
        readings = _readings(dag, name, (), False, {})
    except _Fixed as fixed:
        return NotGrowable(name, str(fixed))
    for end in dict.fromkeys((name, *(reading.edge.target for reading in readings))):
        for edge in dag.incoming[end]:
            if dag.op(edge).parametrised and not dag.op(edge).has_layout:
                return NotGrowable(name, f"op '{dag.op(edge).name}' of {edge} has no statistics (features)")
    edges = [reading.edge for reading in readings]
    if not edges:
        return NotGrowable(name, "nothing reads its features")
    twice = next((edge for edge in edges if edges.count(edge) > 1), None)
    if twice is not None:
        return NotGrowable(name, f"its features reach {twice} by more than one way")
    return GrowableNode(name, tuple(readings))


def sites(dag: Dag) -> tuple[GrowableNode | NotGrowable, ...]:
    """The answer for every node, in topological order."""
    return tuple(site(dag, name) for name in dag.order)


class _Fixed(Exception):
    """Why the size cannot change, on its way up."""


def _readings(
    dag: Dag, name: str, through: tuple[str, ...], flattened: bool, known: dict[str, list[Consumer]]
) -> list[Consumer]:
    """Every edge that reads the features; of a concat that they reach again, one, to show that there are two ways.

    Args:
        dag: the graph.
        name: where the features are.
        through: concats that they passed.
        flattened: whether positions have become features.
        known: what was found behind each concat.
    """
    node = dag.node(name)
    if name in known:
        return known[name][:1]
    if len(through) > MOST_PASSED:
        raise _Fixed(f"its features pass more than {MOST_PASSED} concats one after the other")
    if name in dag.spec.outputs:
        place = "an output" if not through else f"part of the output '{name}'"
        raise _Fixed(f"it is {place}: its size belongs to the task")
    for edge in dag.incoming[name]:
        if not through and (reason := dag.op(edge).fixed_sizes):
            raise _Fixed(f"{edge}: {reason}")
    for stage, shape in used_stages(node, dag.merged(name)):
        if reason := stage.why_fixed(name, node, shape):
            raise _Fixed(reason)
    flattened = flattened or (node.flatten and bool(dag.merged(name).positions))
    found: list[Consumer] = []
    for edge in dag.outgoing[name]:
        op = dag.op(edge)
        if not op.reads_values:
            continue
        if op.parametrised:
            if reason := op.fixed_sizes:
                raise _Fixed(f"{edge}: {reason}")
            if not op.takes_fan_out:
                raise _Fixed(f"op '{op.name}' of {edge} does not say how it reads new features (fan_out_moment)")
            found.append(Consumer(edge, through, flattened))
        elif dag.node(edge.target).merge == "concat":
            found += _readings(dag, edge.target, (*through, edge.target), flattened, known)
        else:
            raise _Fixed(f"the {op.name} edge {edge} ties its size to that of '{edge.target}'")
    known[name] = found
    return found
