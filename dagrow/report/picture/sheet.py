"""A long graph on one page: rows from left to right, cut where everything passes through one node.

That node stands at the end of a row and, as a mark, at the beginning of the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dagrow.report.picture.layout import Layout, Rectangle, Route, Size, place
from dagrow.spec.graph import EdgeId

PAGE = 1_240.0
"""Width of a page in points, about: a row goes on as long as it is not wider."""
_ROW_GAP = 40.0
_MARK = "\0"
"""Before the name of a mark: no node is called so."""


@dataclass(frozen=True)
class Sheet:
    """Rows below one another.

    Attributes:
        layout: of all nodes and edges.
        marks: where the node that ended a row stands again, by its name.
    """

    layout: Layout
    marks: tuple[tuple[str, Rectangle], ...]


def sheet(
    boxes: Mapping[str, Size], labels: Mapping[EdgeId, Size], blocks: Sequence[Sequence[str]], mark: Size
) -> Sheet:
    """Lays out a graph in rows.

    Args:
        boxes: width and height of each node.
        labels: of each edge, the width and height of its label.
        blocks: of nodes, as `dagrow.report.folded.blocks_of` cuts them.
        mark: width and height of a mark.
    """
    rows: list[tuple[list[str], Layout]] = []
    for block in blocks:
        if rows:
            longer = [*rows[-1][0], *block]
            found = _row(longer, boxes, labels, mark)
            if found.width <= PAGE:
                rows[-1] = (longer, found)
                continue
        rows.append((list(block), _row(block, boxes, labels, mark)))
    parts: dict[str, Rectangle] = {}
    routes: dict[EdgeId, Route] = {}
    layers: dict[str, int] = {}
    marks: list[tuple[str, Rectangle]] = []
    top = width = 0.0
    for _, row in rows:
        before = max(layers.values(), default=-1) + 1
        for name, box in row.boxes.items():
            moved = replace(box, top=box.top + top)
            if name.startswith(_MARK):
                marks.append((name.removeprefix(_MARK), moved))
            else:
                parts[name], layers[name] = moved, before + row.layers[name]
        for edge, route in row.routes.items():
            source = edge.source.removeprefix(_MARK)
            label = replace(route.label, top=route.label.top + top)
            routes[EdgeId(source, edge.target)] = Route(tuple((x, y + top) for x, y in route.points), label)
        top, width = top + row.height + _ROW_GAP, max(width, row.width)
    layout = Layout(
        {name: parts[name] for name in boxes}, layers, {edge: routes[edge] for edge in labels}, width, top - _ROW_GAP
    )
    return Sheet(layout, tuple(marks))


def _row(names: Sequence[str], boxes: Mapping[str, Size], labels: Mapping[EdgeId, Size], mark: Size) -> Layout:
    """One row, a mark for the node before it."""
    inside = {*names}
    own: dict[EdgeId, Size] = {}
    shown: dict[str, Size] = {}
    for edge, size in labels.items():
        if edge.target in inside:
            source = edge.source if edge.source in inside else f"{_MARK}{edge.source}"
            if source not in inside:
                shown[source] = mark
            own[EdgeId(source, edge.target)] = size
    return place({**shown, **{name: boxes[name] for name in names}}, own, sideways=True)
