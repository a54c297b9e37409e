"""The checked DAG over a graph spec: order, shapes and edges of every node. Still no tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import networkx as nx

from dagrow.errors import SpecError
from dagrow.graph.checks import structure_problems
from dagrow.graph.shapes import NodeShapes, infer_shapes
from dagrow.layout import TensorLayout
from dagrow.ops import Op
from dagrow.spec.graph import EdgeId, GraphSpec, NodeSpec
from dagrow.stages import POSITIONED, used_stages


@dataclass(frozen=True)
class Dag:
    """A graph that passed every check.

    Attributes:
        spec: the graph as declared.
        order: all nodes (inputs left out) so that parents come first; ties by name, so it depends on
            nothing but the graph.
        shapes: per input and node, the shape before (`merged`) and after (`output`) its own operations.
    """

    spec: GraphSpec
    order: tuple[str, ...]
    shapes: dict[str, NodeShapes]

    @classmethod
    def of(cls, spec: GraphSpec) -> Dag:
        """Checks the spec and infers all shapes.

        Raises:
            SpecError: with every problem found.
        """
        return _checked(spec)

    @cached_property
    def incoming(self) -> dict[str, tuple[EdgeId, ...]]:
        """Edges into each node, in the order of the spec (it is the order of a concat)."""
        found: dict[str, list[EdgeId]] = {v: [] for v in self.order}
        for edge in self.spec.edges:
            found[edge.target].append(edge)
        return {v: tuple(edges) for v, edges in found.items()}

    @cached_property
    def outgoing(self) -> dict[str, tuple[EdgeId, ...]]:
        """Edges out of each input and node, children in topological order."""
        rank = {v: i for i, v in enumerate(self.order)}
        found: dict[str, list[EdgeId]] = {u: [] for u in (*self.spec.inputs, *self.order)}
        for edge in self.spec.edges:
            found[edge.source].append(edge)
        return {u: tuple(sorted(edges, key=lambda e: rank[e.target])) for u, edges in found.items()}

    @cached_property
    def ancestors(self) -> dict[str, frozenset[str]]:
        """Per input and node, everything that it depends on."""
        found: dict[str, frozenset[str]] = {name: frozenset() for name in self.spec.inputs}
        for name in self.order:
            parents = [edge.source for edge in self.incoming[name]]
            found[name] = frozenset(parents).union(*(found[parent] for parent in parents))
        return found

    @cached_property
    def parameters(self) -> dict[EdgeId, int]:
        """Learned numbers of each edge."""
        return {e: op.parameter_count(self.output(e.source), self.written(e)) for e, op in self.spec.edges.items()}

    @cached_property
    def multiply_adds(self) -> dict[EdgeId, int]:
        """Of each edge, for one sample."""
        return {e: op.multiply_adds(self.output(e.source), self.written(e)) for e, op in self.spec.edges.items()}

    @cached_property
    def _ops(self) -> dict[EdgeId, Op]:
        return {edge: op.reading(self.output(edge.source)) for edge, op in self.spec.edges.items()}

    @cached_property
    def stage_multiply_adds(self) -> int:
        """Of all nodes, for one sample: what their attention takes."""
        stages = [(self.node(v), used_stages(self.node(v), self.merged(v))) for v in self.order]
        return sum(stage.multiply_adds(node, shape) for node, own in stages for stage, shape in own)

    def op(self, edge: EdgeId) -> Op:
        """The op of an edge, which knows what its source puts out; `spec` has it as declared."""
        return self._ops[edge]

    def node(self, name: str) -> NodeSpec:
        """The declaration of a node."""
        return self.spec.nodes[name]

    def merged(self, name: str) -> TensorLayout:
        """Shape of the pre-activation ``a`` of a node."""
        return self.shapes[name].merged

    def output(self, name: str) -> TensorLayout:
        """Shape of the output ``b`` of an input or node."""
        return self.shapes[name].output

    def pooled(self, name: str) -> TensorLayout:
        """Shape of what a node holds behind its pool, before it is flattened."""
        node, shape = self.node(name), self.merged(name)
        for stage in POSITIONED:
            if stage.used(node, shape):
                shape = stage.output(node, shape)
        return shape

    def written(self, edge: EdgeId) -> TensorLayout:
        """Shape of what an edge writes into its target."""
        return self.shapes[edge.target].written[edge]

    def slots(self, name: str) -> dict[EdgeId, slice]:
        """Which features of the pre-activation each incoming edge writes: all of them, or its part of a concat."""
        return self.shapes[name].slots

    def size(self, name: str) -> int:
        """Features (channels) of a node, before flattening."""
        return self.shapes[name].size


@lru_cache(maxsize=64)
def _checked(spec: GraphSpec) -> Dag:
    """The DAG of a spec; specs are frozen, so the answer stays the same."""
    problems = structure_problems(spec)
    if problems:
        raise SpecError(problems)
    digraph = nx.DiGraph(list(spec.edges))
    order = tuple(v for v in nx.lexicographical_topological_sort(digraph) if v in spec.nodes)
    shapes, problems = infer_shapes(spec, order)
    if problems:
        raise SpecError(problems)
    return Dag(spec, order, shapes)
