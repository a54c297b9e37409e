"""A network that goes down to coarser maps and up again, drawn as it is known: as a U.

Each resolution is a column on the way down and another on the way up, and deeper columns lie lower. Nodes of a column
follow one another downwards, on the way up upwards; skips cross over what lies between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise

from dagrow.graph import Dag
from dagrow.report.picture.layout import Layout, Point, Rectangle, Route, Size
from dagrow.spec.graph import EdgeId

_ROW_GAP, _COLUMN_GAP = 34.0, 96.0


def valley(dag: Dag, boxes: Mapping[str, Size], labels: Mapping[EdgeId, Size]) -> Layout | None:
    """Lays out a U; None if the graph is none.

    Args:
        dag: the graph.
        boxes: width and height of each node.
        labels: of each edge, the width and height of its label.
    """
    columns = _columns(dag)
    if columns is None:
        return None
    down = (len(columns) + 1) // 2
    rows = _rows(columns, down)
    heights: dict[int, float] = {}
    for name, row in rows.items():
        heights[row] = max(heights.get(row, 0.0), boxes[name][1])
    tops, y = {}, 0.0
    for row in range(min(rows.values()), max(rows.values()) + 1):
        tops[row] = y
        y += heights.get(row, 0.0) + _ROW_GAP
    placed: dict[str, Rectangle] = {}
    x = 0.0
    for column in columns:
        width = max(boxes[name][0] for name in column)
        for name in column:
            own, row = boxes[name], rows[name]
            placed[name] = Rectangle(x + (width - own[0]) / 2, tops[row] + (heights[row] - own[1]) / 2, *own)
        x += width + _COLUMN_GAP
    order = {name: index for index, name in enumerate(name for column in columns for name in column)}
    place = {name: index for index, column in enumerate(columns) for name in column}
    routes: dict[EdgeId, Route] = {}
    lanes: dict[int, int] = {}
    for edge, size in labels.items():
        source, target = placed[edge.source], placed[edge.target]
        if place[edge.source] == place[edge.target]:
            points = _straight(source, target)
        elif order[edge.target] == order[edge.source] + 1:
            points = _corner(source, target, down=place[edge.target] < down)
        else:
            lane = lanes[place[edge.target]] = lanes.get(place[edge.target], 0) + 1
            left = min(placed[name].left for name in columns[place[edge.target]])
            points = _skip(source, target, left - 18.0 - 10.0 * lane)
        routes[edge] = Route(points, _label(points, size))
    width = max(box.right for box in placed.values())
    return Layout({name: placed[name] for name in boxes}, order, routes, width, y - _ROW_GAP)


def _columns(dag: Dag) -> list[list[str]] | None:
    """The nodes by resolution, down and up again; None if they are not so, or an edge leads elsewhere."""
    if len(dag.spec.inputs) != 1:
        return None
    order = (*dag.spec.inputs, *dag.order)
    counts = {name: dag.output(name).position_count for name in order}
    columns = [[*names] for _, names in groupby(order, key=counts.__getitem__)]
    levels = [counts[column[0]] for column in columns]
    bottom = levels.index(min(levels))
    if len(levels) < 3 or len(levels) != 2 * bottom + 1 or levels != levels[::-1]:
        return None
    if any(a <= b for a, b in pairwise(levels[: bottom + 1])):
        return None
    index = {name: number for number, name in enumerate(order)}
    place = {name: number for number, column in enumerate(columns) for name in column}
    for edge in dag.spec.edges:
        follows = index[edge.target] == index[edge.source] + 1
        across = place[edge.source] + place[edge.target] == 2 * bottom and place[edge.source] < bottom
        # What enters a column from below has its place there, so that a skip ends further up.
        if not follows and not (across and edge.target != columns[place[edge.target]][0]):
            return None
    return columns


def _rows(columns: Sequence[Sequence[str]], down: int) -> dict[str, int]:
    """The row of each node: downwards in the first columns, upwards in the others."""
    rows: dict[str, int] = {}
    row = 0
    for column in columns[:down]:
        for name in column:
            rows[name] = row
            row += 1
    ends = [rows[column[-1]] for column in columns[:down]]
    for column, end in zip(columns[down:], reversed(ends[:-1]), strict=True):
        for number, name in enumerate(column):
            rows[name] = end - number
    return rows


def _straight(source: Rectangle, target: Rectangle) -> tuple[Point, ...]:
    x = source.centre[0]
    return ((x, source.bottom), (x, target.top)) if source.top < target.top else ((x, source.top), (x, target.bottom))


def _corner(source: Rectangle, target: Rectangle, *, down: bool) -> tuple[Point, ...]:
    """To the next column: down and to the right, or to the right and up."""
    if down:
        x, y = source.centre[0], target.centre[1]
        return (x, source.bottom), (x, y), (target.left, y)
    x, y = target.centre[0], source.centre[1]
    return (source.right, y), (x, y), (x, target.bottom)


def _skip(source: Rectangle, target: Rectangle, x: float) -> tuple[Point, ...]:
    """Across at the height of the source, and at ``x`` to that of the target."""
    y0, y1 = source.centre[1], target.centre[1]
    if abs(y0 - y1) < 1:
        return (source.right, y0), (target.left, y0)
    return (source.right, y0), (x, y0), (x, y1), (target.left, y1)


def _label(points: Sequence[Point], size: Size) -> Rectangle:
    """In the middle of the longest part."""
    (x0, y0), (x1, y1) = max(
        pairwise(points), key=lambda ends: abs(ends[0][0] - ends[1][0]) + abs(ends[0][1] - ends[1][1])
    )
    return Rectangle((x0 + x1 - size[0]) / 2, (y0 + y1 - size[1]) / 2, *size)
