"""Whether a graph is a chain of layers on vectors with relu between them: what is piecewise linear layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from dagrow.graph import Dag
from dagrow.spec.graph import EdgeId


@dataclass(frozen=True)
class NoChain:
    """A graph that is no chain of relu layers, and the first reason."""

    reason: str


def chain_edges(dag: Dag) -> tuple[EdgeId, ...] | NoChain:
    """The edges of the chain from the input to the output, or why the graph is none."""
    if len(dag.spec.inputs) != 1 or len(dag.spec.outputs) != 1:
        return NoChain(f"it has {len(dag.spec.inputs)} inputs and {len(dag.spec.outputs)} outputs, not one each")
    name, edges = next(iter(dag.spec.inputs)), []
    while name not in dag.spec.outputs:
        # A node that two edges read, or that joins two, is a branch; every node leads to the output.
        if len(dag.outgoing[name]) != 1:
            return NoChain(f"'{name}' is read by {len(dag.outgoing[name])} edges")
        (edge,) = dag.outgoing[name]
        if reason := _broken(dag, edge):
            return NoChain(reason)
        edges.append(edge)
        name = edge.target
    if len(edges) < 2:
        return NoChain("it has no hidden layer")
    return tuple(edges)


def _broken(dag: Dag, edge: EdgeId) -> str:
    """Why an edge and the node it leads to are no layer of a chain; empty if they are one."""
    op, name, node = dag.op(edge), edge.target, dag.node(edge.target)
    wanted = "identity" if name in dag.spec.outputs else "relu"
    if len(dag.incoming[name]) != 1:
        return f"'{name}' joins {len(dag.incoming[name])} edges"
    if not op.parametrised or not op.has_layout:
        return f"op '{op.name}' of {edge} has no weights to read"
    shape = next((s for s in (dag.output(edge.source), dag.merged(name)) if len(s) != 1), None)
    if shape is not None:
        return f"{edge} is between values of shape {list(shape)}, not between vectors"
    if op.feature_count(dag.output(edge.source)) != dag.output(edge.source)[0]:
        return f"op '{op.name}' of {edge} reads other features than its input has"
    if wanted == "relu" and not op.has_bias:
        return f"{edge} has no bias, so that every crease goes through 0"
    if node.activation != wanted:
        return f"'{name}' has activation '{node.activation}', not '{wanted}'"
    return f"'{name}' has norm '{node.norm}'" if node.norm != "none" else ""
