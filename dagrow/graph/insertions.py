"""Which edges and nodes a graph could have besides: legal ones as a `Structure`, others with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dagrow.graph.dag import Dag
from dagrow.graph.structure import Structure, fresh_name
from dagrow.layout import TensorLayout
from dagrow.ops import ACTIVATIONS, Op, Pool, find_op, op_between
from dagrow.spec.graph import EdgeId, NodeSpec

_GLOBAL = Pool(kind="global_average")


class NodeTemplate(NamedTuple):
    """What new nodes are like.

    Attributes:
        activation: by name.
        norm: by name, ``none`` for none.
        kernel: height and width of the convolutions around it.
    """

    activation: str = "selu"
    norm: str = "none"
    kernel: int = 3


def order_conflict(dag: Dag, source: str, target: str) -> str:
    """Why nothing can lead from one node to another; empty if it may."""
    if source == target or target in dag.ancestors[source]:
        return f"'{target}' comes before '{source}': the graph would have a cycle"
    if dag.node(target).merge == "concat":
        return f"'{target}' is a concat: another edge would change its size"
    if dag.node(target).merge == "multiply":
        return f"'{target}' is a product: another factor would change it as a whole"
    if _only_averages(dag, target):
        return f"'{target}' only averages: what reads it can be written directly"
    return ""


def _only_averages(dag: Dag, name: str) -> bool:
    """Whether a node hands on the mean over positions to weights and does no more.

    A convolution that writes it is no more than weights after the mean of what it reads, but for the maps' borders.
    """
    node, readers = dag.node(name), dag.outgoing[name]
    plain = node.pool == _GLOBAL and node.activation == "identity" and node.norm == "none" and node.attention is None
    return plain and name not in dag.spec.outputs and all(dag.op(edge).parametrised for edge in readers)


def new_edge(dag: Dag, source: str, target: str, kernel: int) -> Structure | str:
    """An edge between two nodes that have none; maps come to a vector by their global average.

    Returns:
        The change of the graph, or the reason why there is none.
    """
    if reason := order_conflict(dag, source, target):
        return reason
    if EdgeId(source, target) in dag.spec.edges:
        return "there is such an edge already"
    ends, found = _sized(dag, target), leading_op(dag, source, target, kernel)
    if found is None:
        return _misfit(source, dag.output(source), target, dag.merged(target))
    op, pool = found
    if pool is None:
        return Structure(ends, {EdgeId(source, target): op})
    node, identity = NodeSpec(pool=pool), find_op("identity")()
    for edge in dag.outgoing[source]:
        alone = dag.incoming[edge.target] == (edge,) and dag.op(edge) == identity
        if alone and dag.node(edge.target).model_copy(update={"size": None}) == node:
            return f"'{edge.target}' holds the average of '{source}' already"
    name = fresh_name(dag.spec, f"{source}_mean")
    edges = {EdgeId(source, name): identity, EdgeId(name, target): op}
    return Structure({name: node, **ends}, edges)


def leading_op(dag: Dag, source: str, target: str, kernel: int) -> tuple[Op, Pool | None] | None:
    """The op that leads from one node to another, and the pool before it where maps lead to a vector."""
    shape, wanted = dag.output(source), dag.merged(target)
    op = op_between(shape, wanted, kernel)
    if op is not None:
        return op, None
    op = op_between(_GLOBAL.output_shape(shape), wanted, kernel) if shape.positions and not shape.indexed else None
    return None if op is None else (op, _GLOBAL)


def new_node(dag: Dag, parents: Sequence[str], children: Sequence[str], template: NodeTemplate) -> Structure | str:
    """A node of size 1 between parents and children; see `Structure.with_size`.

    Maps that lead to a vector are averaged by the new node itself; maps of unequal size take the stride that fits.

    Returns:
        The change of the graph, or the reason why there is none.
    """
    for child in children:
        for parent in parents:
            if reason := order_conflict(dag, parent, child):
                return reason
    wanted = dag.merged(children[0])
    for parent in parents:
        shape = dag.output(parent)
        here, pool = (wanted.with_channels(1), None)
        if shape.positions and not wanted.positions:
            here, pool = shape.with_channels(1), _GLOBAL
        found = _node_at(dag, parents, children, template, here, pool)
        if not isinstance(found, str):
            return found
    return _misfit(parents[0], dag.output(parents[0]), children[0], wanted)


def _node_at(
    dag: Dag,
    parents: Sequence[str],
    children: Sequence[str],
    template: NodeTemplate,
    here: TensorLayout,
    pool: Pool | None,
) -> Structure | str:
    """The new node with values of shape ``here`` before its pool."""
    name = fresh_name(dag.spec, "h")
    written = here if pool is None else pool.output_shape(here)
    edges: dict[EdgeId, Op] = {}
    nodes = {name: NodeSpec(size=1, activation=template.activation, norm=template.norm, pool=pool)}
    for parent in parents:
        op = op_between(dag.output(parent), here, template.kernel)
        if op is None:
            return _misfit(parent, dag.output(parent), name, here)
        # One bias is enough, and a norm takes every constant off again.
        edges[EdgeId(parent, name)] = _with_bias(op, template.norm == "none" and parent == parents[0])
    for child in children:
        op = op_between(written, dag.merged(child), template.kernel)
        if op is None:
            return _misfit(name, written, child, dag.merged(child))
        edges[EdgeId(name, child)] = op
        nodes.update(_sized(dag, child))
    return Structure(nodes, edges)


def split_edge(dag: Dag, edge: EdgeId, template: NodeTemplate, early: bool) -> Structure | str:
    """An edge replaced by a node between its ends.

    Args:
        dag: the graph.
        edge: with weights.
        template: of the new node.
        early: whether the old weights go before the new node, or behind it.

    Returns:
        The change of the graph, or the reason why there is none. The other new edge has kernel 1.
    """
    op, name = dag.spec.edges[edge], fresh_name(dag.spec, "h")
    if not op.parametrised:
        return f"an {op.name} edge has no weights to keep"
    if dag.node(edge.target).merge == "concat":
        return f"'{edge.target}' is a concat: the size of the edge would be lost"
    if reason := op.fixed_sizes:
        return reason
    if op.reads_tokens and not early:
        return f"an {op.name} edge reads '{edge.source}' itself, not a node between"
    shape = dag.written(edge) if early else dag.output(edge.source)
    thin = op_between(shape, shape, 1)
    if thin is None:
        return f"no op keeps values of shape {shape}"
    node = NodeSpec(size=shape.channels, activation=template.activation)
    # Where act is a line from 0 on only, values are shifted there and back.
    shifted = ACTIVATIONS[template.activation].line == "shifted"
    first, second = (op, _with_bias(thin, shifted)) if early else (_with_bias(thin, True), op)
    if shifted:
        if not early:
            return f"the {template.activation} keeps a function only behind the old weights"
        first = _with_bias(op, True)
        if not first.has_bias:
            return f"an {op.name} edge has no bias, by which {template.activation} keeps a function"
    edges = {EdgeId(edge.source, name): first, EdgeId(name, edge.target): second}
    return Structure({name: node}, edges, removed_edges=(edge,))


def _with_bias(op: Op, bias: bool) -> Op:
    return op.model_copy(update={"bias": bias}) if "bias" in type(op).model_fields else op


def _sized(dag: Dag, node: str) -> dict[str, NodeSpec]:
    """The declaration of a node with its size written out, where it was left to its identity edges."""
    declared = dag.node(node)
    return {} if declared.size is not None else {node: declared.model_copy(update={"size": dag.size(node)})}


def _misfit(source: str, shape: TensorLayout, target: str, wanted: TensorLayout) -> str:
    return f"no op leads from {shape} of '{source}' to {wanted} of '{target}'"
