"""A graph with its repeated blocks folded: of equal blocks in a row one is kept, which says how many there are.

A block is what lies between two nodes through which everything passes. Two blocks are equal if their nodes and edges
are, names aside.
"""

from __future__ import annotations

from dataclasses import dataclass

from dagrow.graph import Dag
from dagrow.spec.graph import EdgeId, GraphSpec

_NAMES = 3


@dataclass(frozen=True)
class Folded:
    """A graph without the copies of its blocks.

    Attributes:
        graph: what is left.
        notes: of each node that stands for several, how many and which.
        blocks: the nodes of each block, in order; the last of each is the one through which everything passes.
    """

    graph: GraphSpec
    notes: dict[str, str]
    blocks: tuple[tuple[str, ...], ...]


def blocks_of(dag: Dag) -> tuple[tuple[str, ...], ...]:
    """Cuts the nodes and inputs, in the order of the graph, behind each node through which everything passes."""
    order = (*dag.spec.inputs, *dag.order)
    place = {name: index for index, name in enumerate(order)}
    found, start = [], 0
    for index, name in enumerate(order):
        crossing = {edge.source for edge in dag.spec.edges if place[edge.source] <= index < place[edge.target]}
        if crossing <= {name} and index + 1 >= len(dag.spec.inputs):
            found.append(order[start : index + 1])
            start = index + 1
    return tuple(found)


def folded(graph: GraphSpec) -> Folded:
    """Folds the repeated blocks of a graph."""
    dag = Dag.of(graph)
    blocks = blocks_of(dag)
    kept: list[tuple[str, ...]] = []
    copies: dict[str, list[str]] = {}
    stands_for: dict[str, str] = {}
    for index, block in enumerate(blocks):
        first = kept[-1] if kept else None
        if first is not None and _repeats(dag, blocks, index, first) and not {*block} & {*graph.outputs}:
            stands_for |= dict(zip(block, first, strict=True))
            for original, copy in zip(first, block, strict=True):
                copies.setdefault(original, []).append(copy)
        else:
            kept.append(block)
    if not stands_for:
        return Folded(graph, {}, blocks)
    edges = {
        EdgeId(stands_for.get(edge.source, edge.source), edge.target): op
        for edge, op in graph.edges.items()
        if edge.target not in stands_for
    }
    nodes = {name: node for name, node in graph.nodes.items() if name not in stands_for}
    changed = graph.model_copy(update={"nodes": type(graph.nodes)(nodes), "edges": type(graph.edges)(edges)})
    return Folded(changed, {name: _note(found) for name, found in copies.items()}, tuple(kept))


def _repeats(dag: Dag, blocks: tuple[tuple[str, ...], ...], index: int, first: tuple[str, ...]) -> bool:
    """Whether a block equals the one that was kept before it, and reads what a copy of it writes."""
    start = blocks.index(first)
    if start == 0 or len(first) < 2:
        return False
    same = _form(dag, blocks[index], blocks[index - 1][-1]) == _form(dag, first, blocks[start - 1][-1])
    return same and dag.output(blocks[start - 1][-1]) == dag.output(first[-1])


def _form(dag: Dag, block: tuple[str, ...], above: str) -> tuple[object, ...]:
    """All of a block but the names."""
    place = {above: -1, **{name: index for index, name in enumerate(block)}}
    return tuple(
        (
            dag.node(name),
            dag.size(name),
            tuple((place.get(edge.source, -2), dag.op(edge)) for edge in dag.incoming[name]),
        )
        for name in block
    )


def _note(copies: list[str]) -> str:
    shown = ", ".join(copies[:_NAMES]) + (", ..." if len(copies) > _NAMES else "")
    return f"× {len(copies) + 1}, also {shown}"
