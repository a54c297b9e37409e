"""When each node and edge of a growing graph came and went, derived from the graphs alone.

Steps are counted from 1 in the order of the history; 0 is the start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from dagrow.graph import Dag, changes
from dagrow.ops import Op
from dagrow.report.history import History
from dagrow.spec.graph import EdgeId


@dataclass(frozen=True)
class Part:
    """Features that a node owes to one step."""

    step: int
    features: int


@dataclass(frozen=True)
class NodeLife:
    """The life of an input or node.

    Attributes:
        name: of the node.
        dag: the last graph that has it.
        born: the step that brought it.
        gone: the step that removed it, None for a node of the last graph.
        parts: its features in the order in which they came.
    """

    name: str
    dag: Dag
    born: int
    gone: int | None
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class EdgeLife:
    """The life of an edge; an edge that takes another op is born again.

    Attributes:
        edge: its two ends.
        op: as in the last graph that has it.
        born: the step that brought it.
        gone: the step that removed it, None for an edge of the last graph.
    """

    edge: EdgeId
    op: Op
    born: int
    gone: int | None = None


@dataclass(frozen=True)
class Lives:
    """All nodes and edges that a history ever had, by name; what was there first comes first."""

    nodes: dict[str, NodeLife]
    edges: dict[EdgeId, EdgeLife]


def lives(history: History) -> Lives:
    """Follows every node and edge through a history."""
    nodes: dict[str, NodeLife] = {}
    edges: dict[EdgeId, EdgeLife] = {}

    def add(dag: Dag, name: str, step: int) -> None:
        nodes[name] = NodeLife(name, dag, step, None, (Part(step, dag.size(name)),))

    first = Dag.of(history.start)
    for name in (*first.spec.inputs, *first.order):
        add(first, name, 0)
    for edge, op in first.spec.edges.items():
        edges[edge] = EdgeLife(edge, op, 0)
    for step, (before, after) in enumerate(pairwise(history.graphs), start=1):
        change, dag = changes(before, after), Dag.of(after)
        for name in (*change.inputs.removed, *change.nodes.removed):
            nodes[name] = replace(nodes[name], gone=step)
        for name in (*change.inputs.added, *(name for name in dag.order if name in change.nodes.added)):
            add(dag, name, step)
        for name, (old, new) in change.sizes.items():
            nodes[name] = replace(nodes[name], parts=_resized(nodes[name].parts, step, new - old))
        for edge in change.edges.removed:
            edges[edge] = replace(edges[edge], gone=step)
        for edge, op in change.edges.added.items():
            edges[edge] = EdgeLife(edge, op, step)
        for edge, (_, op) in change.edges.changed.items():
            edges[edge] = EdgeLife(edge, op, step)
        nodes |= {name: replace(life, dag=dag) for name, life in nodes.items() if life.gone is None}
    return Lives(nodes, edges)


def _resized(parts: tuple[Part, ...], step: int, difference: int) -> tuple[Part, ...]:
    """Growth adds a part; what a node loses is taken from the youngest first."""
    if difference > 0:
        return (*parts, Part(step, difference))
    *older, last = parts
    left = last.features + difference
    if left > 0:
        return (*older, replace(last, features=left))
    return _resized(tuple(older), step, left) if left < 0 else tuple(older)
