"""New features of a node: more rows into it, more columns out of it, more entries in the norms on the way."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.build.emit import edge_module
from dagrow.errors import GrowthError, listed
from dagrow.graph import Dag, FixedSize, Reading, Site, site
from dagrow.mutation.change import NewFeatures
from dagrow.mutation.edits import Edit, insert
from dagrow.ops import NORMS, position_count
from dagrow.spec.graph import GraphSpec


def widened_spec(dag: Dag, node: str, count: int) -> GraphSpec:
    """The graph with ``count`` more features at a node, and at the concat nodes that hand them on."""
    spec, place = dag.spec, _growing(dag, node)
    sizes = {node: dag.size(node) + count}
    inserted = {r.edge: _start_and_count(dag, node, r, count)[2] for r in place.readings}
    for reading in place.readings:
        for name, extra in zip(reading.through, inserted[reading.edge], strict=True):
            sizes[name] = dag.size(name) + extra
    nodes = {
        name: spec.nodes[name].model_copy(update={"size": size})
        for name, size in sizes.items()
        if spec.nodes[name].size is not None
    }
    edges = {}
    for name in sizes:
        for edge in dag.incoming[name]:
            op = dag.op(edge)
            # In a concat, an equal share of the rest is no longer meant once one part has grown.
            if dag.node(name).merge == "concat" and op.parametrised:
                slot = dag.slots(name)[edge]
                edges[edge] = op.model_copy(update={"size": slot.stop - slot.start})
            elif op.written is not None:
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
    for edge, (weight, bias) in features.fan_in.items():
        layer, op = edge_module(edge), dag.op(edge)
        edits.append(_inserted(state, f"{layer}.weight", op.weight_axes[0], at, op.stored(weight)))
        if bias is not None:
            edits.append(_inserted(state, f"{layer}.bias", 0, at, bias))
    edits += _norm_edits(state, dag, features, node, at)
    seen: set[str] = set()
    for reading in place.readings:
        start, width, _ = _start_and_count(dag, node, reading, count)
        block = features.fan_out[reading.edge]
        if block.shape[1] != width:
            raise GrowthError(f"the change brings {block.shape[1]} columns for {reading.edge}, {width} are needed")
        layer, op = edge_module(reading.edge), dag.op(reading.edge)
        edits.append(_inserted(state, f"{layer}.weight", op.weight_axes[1], start, op.stored(block)))
        for index, name in enumerate(reading.through):
            if name not in seen:
                seen.add(name)
                upto = Reading(reading.edge, reading.through[:index], reading.flattened)
                edits += _norm_edits(state, dag, features, name, _position(dag, node, upto, name, count))
    return edits


def columns_of(dag: Dag, node: str, reading: Reading, features: Tensor) -> Tensor:
    """Where a child reads some features that the node has already.

    Args:
        dag: the graph.
        node: whose features they are.
        reading: the child.
        features: ``[K]`` their indices.

    Returns:
        ``[K, positions]`` input columns of the reading edge: one each, or one per position of a flattened map.
    """
    end, width, _ = _start_and_count(dag, node, reading, 1)
    start = end - dag.size(node) * width
    return start + features.unsqueeze(1) * width + torch.arange(width, device=features.device)


def norm_entries_of(dag: Dag, node: str, name: str, features: Tensor) -> Tensor:
    """Which entries of the norm of ``name``, the node itself or a concat that it passes, are those of some features."""
    if name == node:
        return features
    reading = next(r for r in _growing(dag, node).readings if name in r.through)
    upto = Reading(reading.edge, reading.through[: reading.through.index(name)], reading.flattened)
    _, width, _ = _start_and_count(dag, node, upto, 1)
    start = _position(dag, node, upto, name, 1) - dag.size(node) * width
    return (start + features.unsqueeze(1) * width + torch.arange(width, device=features.device)).flatten()


def _growing(dag: Dag, node: str) -> Site:
    place = site(dag, node) if node in dag.spec.nodes else FixedSize(node, "the graph has no such node")
    if isinstance(place, FixedSize):
        raise GrowthError(f"'{node}' cannot grow: {place.reason}")
    return place


def _check_edges(dag: Dag, place: Site, features: NewFeatures) -> None:
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


def _position(dag: Dag, node: str, reading: Reading, name: str, count: int) -> int:
    """Where in the features of a concat node the new ones go."""
    start, _, _ = _start_and_count(dag, node, reading, count)
    source = reading.through[-1] if reading.through else node
    edge = next(edge for edge in dag.incoming[name] if edge.source == source)
    return start + int(dag.slots(name)[edge].start)


def _start_and_count(dag: Dag, node: str, reading: Reading, count: int) -> tuple[int, int, list[int]]:
    """Where the new features start in what a child reads, how many they are there, and in each concat passed.

    Flattening turns each channel into one feature per position, channel major.
    """
    start, width, widths = dag.size(node), count, []
    names = (node, *reading.through)
    for name, following in zip(names, (*reading.through, None), strict=True):
        if dag.node(name).flatten and len(dag.merged(name)) > 1:
            pool, shape = dag.node(name).pool, dag.merged(name)
            positions = position_count(shape if pool is None else pool.output_shape(shape))
            start, width = start * positions, width * positions
        if following is not None:
            edge = next(e for e in dag.incoming[following] if e.source == name)
            start += dag.slots(following)[edge].start
            widths.append(width)
    return start, width, widths
