"""New features of a node: more rows into it, more columns out of it, more entries in the norms on the way."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.build.emit import edge_module
from dagrow.errors import GrowthError, listed
from dagrow.graph import Consumer, Dag, GrowableNode, NotGrowable, in_concat, site, span
from dagrow.mutation.change import NewFeatures
from dagrow.mutation.tensor_edits import Edit, insert
from dagrow.ops import NORMS
from dagrow.spec.graph import GraphSpec


def widened_spec(dag: Dag, node: str, count: int) -> GraphSpec:
    """The graph with ``count`` more features (fewer, if negative) at a node, and at the concats that hand them on."""
    spec, place = dag.spec, _growing(dag, node)
    sizes = {node: dag.size(node) + count}
    for reading in place.readings:
        for name, width in zip(reading.through, span(dag, node, reading).widths, strict=True):
            sizes[name] = dag.size(name) + count * width
    nodes = {
        name: spec.nodes[name].model_copy(update={"size": size})
        for name, size in sizes.items()
        if spec.nodes[name].size is not None
    }
    edges = {}
    for name in sizes:
        for edge in dag.incoming[name]:
            op = spec.edges[edge]
            # In a concat, an equal share of the rest is no longer meant once one part has grown.
            if dag.node(name).merge == "concat" and op.parametrised:
                slot = dag.slots(name)[edge]
                edges[edge] = op.model_copy(update={"size": slot.stop - slot.start})
            elif op.out_features is not None:
                edges[edge] = op.model_copy(update={"size": sizes[name]})
    return spec.model_copy(update={"nodes": spec.nodes.replacing(nodes), "edges": spec.edges.replacing(edges)})


def widen_edits(state: dict[str, Tensor], dag: Dag, features: NewFeatures) -> list[Edit]:
    """The edits that insert new features after the last one of their node.

    Args:
        state: parameters and buffers by key.
        dag: the graph before the change.
        features: what to insert.
    """
    node, count, at = features.node, features.count, dag.size(features.node)
    place = _growing(dag, node)
    _check_edges(dag, place, features)
    edits: list[Edit] = []
    for edge, weights in features.fan_in.items():
        op = dag.op(edge)
        for name, tensor in weights.entries(op, edge).items():
            edits.append(_inserted(state, name, op.weight_axes[0] if tensor.dim() > 1 else 0, at, tensor))
    edits += _norm_edits(state, dag, features, node, at)
    seen: set[str] = set()
    for reading in place.readings:
        read = span(dag, node, reading)
        block = features.fan_out[reading.edge]
        if block.shape[1] != count * read.width:
            needed = count * read.width
            raise GrowthError(f"the change brings {block.shape[1]} columns for {reading.edge}, {needed} are needed")
        layer, op = edge_module(reading.edge), dag.op(reading.edge)
        edits.append(
            _inserted(
                state, f"{layer}.weight", op.weight_axes[1], read.start + at * read.width, op.to_layer_layout(block)
            )
        )
        for index, name in enumerate(reading.through):
            if name not in seen:
                seen.add(name)
                first, width = in_concat(dag, node, reading, index)
                edits += _norm_edits(state, dag, features, name, first + at * width)
    return edits


def columns_of(dag: Dag, node: str, reading: Consumer, features: Tensor) -> Tensor:
    """Where a child reads some features that the node has already.

    Args:
        dag: the graph.
        node: whose features they are.
        reading: the child.
        features: ``[K]`` their indices.

    Returns:
        ``[K, positions]`` input columns of the reading edge: one each, or one per position of a flattened map.
    """
    read = span(dag, node, reading)
    return read.start + features.unsqueeze(1) * read.width + torch.arange(read.width, device=features.device)


def _growing(dag: Dag, node: str) -> GrowableNode:
    place = site(dag, node) if node in dag.spec.nodes else NotGrowable(node, "the graph has no such node")
    if isinstance(place, NotGrowable):
        raise GrowthError(f"'{node}' cannot grow: {place.reason}")
    return place


def _check_edges(dag: Dag, place: GrowableNode, features: NewFeatures) -> None:
    """New features enter and leave by exactly the edges and norms that the graph has."""
    ways: tuple[tuple[str, set[str], set[str]], ...] = (
        ("edges into it", set(map(str, dag.incoming[place.node])), set(map(str, features.fan_in))),
        ("edges that read it", {str(r.edge) for r in place.readings}, set(map(str, features.fan_out))),
        (
            "biases of edges into it",
            {str(edge) for edge in dag.incoming[place.node] if dag.op(edge).has_bias},
            {str(edge) for edge, (_, bias) in features.fan_in.items() if bias is not None},
        ),
    )
    for what, needed, found in ways:
        if needed != found:
            raise GrowthError(
                f"the change was made for another network: '{place.node}' has {what} "
                f"[{listed(sorted(needed))}], the change [{listed(sorted(found))}]"
            )
    for name in (place.node, *place.passed):
        if dag.node(name).norm != "none" and name not in features.statistics:
            raise GrowthError(f"the change was made for another network: it knows nothing of the norm of '{name}'")


def _norm_edits(state: dict[str, Tensor], dag: Dag, features: NewFeatures, name: str, at: int) -> list[Edit]:
    if dag.node(name).norm == "none":
        return []
    mean, variance = features.statistics[name]
    entries = NORMS[dag.node(name).norm].new_entries(mean, variance)
    entries.update(zip(("weight", "bias"), features.learned.get(name, ()), strict=False))
    return [
        _inserted(state, f"{name}.norm.{key}", 0, at, entry)
        for key, entry in entries.items()
        if f"{name}.norm.{key}" in state
    ]


def _inserted(state: dict[str, Tensor], key: str, axis: int, at: int, block: Tensor) -> Edit:
    old = state[key].detach()
    expected = (*old.shape[:axis], block.shape[axis], *old.shape[axis + 1 :])
    if tuple(block.shape) != expected or at > old.shape[axis]:
        raise GrowthError(
            f"the change was made for another network: {key} is {list(old.shape)}, "
            f"the new entries are {list(block.shape)}"
        )
    return insert(key, old, axis, at, block)
