"""Shape inference through the whole graph, convolution to linear across pooling and flattening included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from dagrow.errors import Problem
from dagrow.layout import TensorLayout
from dagrow.ops import ShapeError
from dagrow.spec.graph import EdgeId, GraphSpec, NodeSpec
from dagrow.stages import STAGES

MAX_VALUES = 2**31
"""Values of one sample at one node; more is a typing error in a size, not a network."""


@dataclass(frozen=True)
class NodeShapes:
    """Shapes at one node, without the batch.

    Attributes:
        merged: of the pre-activation.
        output: after norm, activation, pool and flatten.
        written: of what each incoming edge writes.
        slots: features of `merged` that each incoming edge writes.
    """

    merged: TensorLayout
    output: TensorLayout
    written: dict[EdgeId, TensorLayout]
    slots: dict[EdgeId, slice]

    @property
    def size(self) -> int:
        """Features (channels) of the pre-activation."""
        return self.merged.channels


def infer_shapes(spec: GraphSpec, order: Sequence[str]) -> tuple[dict[str, NodeShapes], list[Problem]]:
    """Shapes of every input and node that can be known, and what does not fit.

    A node below a problem is left out silently: one defect, one message.
    """
    shapes = {name: NodeShapes(entry.values, entry.values, {}, {}) for name, entry in spec.inputs.items()}
    problems: list[Problem] = []
    into: dict[str, list[EdgeId]] = {}
    for edge in spec.edges:
        into.setdefault(edge.target, []).append(edge)
    for name in order:
        edges = into[name]
        if all(edge.source in shapes for edge in edges):
            try:
                shapes[name] = _node_shapes(spec, name, edges, shapes)
            except _Misfit as misfit:
                problems.append(Problem(misfit.path, str(misfit)))
    return shapes, problems


class _Misfit(Exception):
    """A shape problem on its way to the list."""

    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


def _node_shapes(spec: GraphSpec, name: str, edges: Sequence[EdgeId], shapes: dict[str, NodeShapes]) -> NodeShapes:
    node, here = spec.nodes[name], ("graph", "nodes", name)
    sizes = _written_sizes(spec, name, edges, shapes)
    written: dict[EdgeId, TensorLayout] = {}
    for edge in edges:
        try:
            written[edge] = spec.edges[edge].written_layout(shapes[edge.source].output, sizes[edge])
        except ShapeError as error:
            raise _Misfit(("graph", "edges", str(edge)), str(error)) from None
    merged, slots = _merge(node, name, written)
    if node.size is not None and node.size != merged.channels:
        found = ", ".join(f"{edge} writes {shape.channels}" for edge, shape in written.items())
        raise _Misfit((*here, "size"), f"size {node.size} does not match what its edges write: {found}")
    values = prod(merged)
    if values > MAX_VALUES:
        raise _Misfit(here, f"{values} values per sample are more than the {MAX_VALUES} that a node may hold")
    return NodeShapes(merged, _output(node, here, merged), written, slots)


def _written_sizes(
    spec: GraphSpec, name: str, edges: Sequence[EdgeId], shapes: dict[str, NodeShapes]
) -> dict[EdgeId, int | None]:
    """How many features each edge writes: the node's size, or in a concat its own or an equal part of the rest."""
    node = spec.nodes[name]
    ops = {edge: spec.edges[edge] for edge in edges}
    weighted = [edge for edge in edges if ops[edge].parametrised]
    if node.merge == "multiply" and weighted:
        raise _Misfit(
            ("graph", "edges", str(weighted[0])),
            f"'{name}' multiplies what it joins: give each factor a node of its own, with an identity edge from it",
        )
    if node.merge != "concat":
        for edge in weighted:
            if ops[edge].out_features is not None and ops[edge].out_features != node.size:
                raise _Misfit(
                    ("graph", "edges", str(edge), "size"),
                    f"'size' is for edges into a concat node; '{name}' is a sum, its edges write the node's size",
                )
        if weighted and node.size is None:
            raise _Misfit(
                ("graph", "nodes", name), "field 'size' is missing: it says how many features the edges write"
            )
        return {edge: node.size if ops[edge].parametrised else None for edge in edges}
    sizes: dict[EdgeId, int | None] = {edge: ops[edge].out_features for edge in edges}
    open_edges = [edge for edge in weighted if ops[edge].out_features is None]
    if not open_edges:
        return sizes
    if node.size is None:
        raise _Misfit(
            ("graph", "edges", str(open_edges[0])),
            f"give this edge a 'size', or give the concat node '{name}' one",
        )
    fixed = sum(sizes[edge] or shapes[edge.source].output.channels for edge in edges if edge not in open_edges)
    share, rest = divmod(node.size - fixed, len(open_edges))
    if rest or share < 1:
        raise _Misfit(
            ("graph", "nodes", name, "size"),
            f"{node.size - fixed} of {node.size} features cannot be shared equally by "
            f"{len(open_edges)} edges; give the edges a 'size'",
        )
    return {edge: share if edge in open_edges else sizes[edge] for edge in edges}


def _merge(node: NodeSpec, name: str, written: dict[EdgeId, TensorLayout]) -> tuple[TensorLayout, dict[EdgeId, slice]]:
    """Shape of the merged values and the features of each edge in it."""
    first_edge, first = next(iter(written.items()))
    slots: dict[EdgeId, slice] = {}
    if node.merge != "concat":
        for edge, shape in written.items():
            if shape != first:
                raise _Misfit(
                    ("graph", "nodes", name),
                    f"a {node.joined} needs equal shapes: {first_edge} writes {first}, {edge} writes {shape}",
                )
            slots[edge] = slice(0, first.channels)
        return first, slots
    total = 0
    for edge, shape in written.items():
        if shape.with_channels(1) != first.with_channels(1):
            raise _Misfit(
                ("graph", "nodes", name),
                f"a concat needs equal shapes but for the features: {first_edge} writes {first}, {edge} writes {shape}",
            )
        slots[edge] = slice(total, total + shape.channels)
        total += shape.channels
    return first.with_channels(total), slots


def _output(node: NodeSpec, here: tuple[str, ...], merged: TensorLayout) -> TensorLayout:
    """Shape behind all stages of a node."""
    shape = merged
    for stage in STAGES:
        if stage.used(node, shape):
            try:
                shape = stage.output(node, shape)
            except ShapeError as error:
                raise _Misfit((*here, stage.name), str(error)) from None
    return shape
