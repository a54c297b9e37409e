"""What an insertion or removal does to the graph itself: nodes and edges that come and go. No weights here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dagrow.ops import Op
from dagrow.spec.graph import EdgeId, GraphSpec, NodeSpec


@dataclass(frozen=True)
class Structure:
    """Nodes and edges that come and go.

    Attributes:
        nodes: new ones, and those whose declaration changes.
        edges: new ones, after all that are there.
        removed_nodes: taken away, with every edge that touches them.
        removed_edges: taken away besides.
    """

    nodes: dict[str, NodeSpec] = field(default_factory=dict)
    edges: dict[EdgeId, Op] = field(default_factory=dict)
    removed_nodes: tuple[str, ...] = ()
    removed_edges: tuple[EdgeId, ...] = ()

    def gone(self, spec: GraphSpec) -> tuple[EdgeId, ...]:
        """All edges of a graph that are taken away."""
        lost = set(self.removed_nodes)
        return tuple(e for e in spec.edges if e in self.removed_edges or lost & set(e))

    def applied(self, spec: GraphSpec) -> GraphSpec:
        """The graph afterwards."""
        return spec.model_copy(
            update={
                "nodes": spec.nodes.replacing(self.nodes, self.removed_nodes),
                "edges": spec.edges.replacing(self.edges, self.gone(spec)),
            }
        )

    def with_size(self, node: str, size: int) -> Structure:
        """The same with another size of a new node."""
        return replace(self, nodes={**self.nodes, node: self.nodes[node].model_copy(update={"size": size})})


def fresh_name(spec: GraphSpec, stem: str) -> str:
    """The first of ``stem1``, ``stem2``, ... that nothing in the graph is called."""
    taken = {*spec.inputs, *spec.nodes}
    return next(name for number in range(1, len(taken) + 2) if (name := f"{stem}{number}") not in taken)
