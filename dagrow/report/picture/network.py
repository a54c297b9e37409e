"""Paints the graph: boxes, edges around them, and in which step each came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import hypot
from types import MappingProxyType

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.patches import Rectangle as Patch
from matplotlib.path import Path

from dagrow.graph import Dag
from dagrow.report.folded import folded
from dagrow.report.history import History
from dagrow.report.picture.boxes import BAR, Box, box, edge_label
from dagrow.report.picture.layout import Layout, Point, Rectangle, Route, place
from dagrow.report.picture.sheet import sheet
from dagrow.report.picture.style import (
    FAINT,
    INPUT_FILL,
    INPUT_LINE,
    MUTED,
    NEUTRAL,
    NODE_FILL,
    PAPER,
    SMALL,
    TINY,
    LineStyle,
    ink_on,
    tint,
)
from dagrow.report.picture.valley import valley
from dagrow.report.provenance import EdgeLife, Lives, NodeLife, Part, lives
from dagrow.spec.graph import EdgeId

_CORNER, _BEND, _HEAD, _DOUBLE = 6.0, 9.0, (7.0, 3.2), 3.0
_LABEL_MARGIN = (3.0, 1.5)
_CUT = 0.8
_EDGES, _LABELS, _BOXES, _TEXT = 1, 2, 3, 4
"""What lies above what."""
TALLEST = 700.0
"""Height of a page in points, about."""
NO_NOTES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Drawing:
    """A graph with all that is written on it, laid out."""

    lives: Lives
    boxes: dict[str, Box]
    labels: dict[EdgeId, LineStyle]
    layout: Layout
    marks: tuple[tuple[LineStyle, Rectangle], ...] = ()

    @classmethod
    def on_a_page(cls, history: History, notes: Mapping[str, str] = NO_NOTES) -> Drawing:
        """As `of`; a graph that is too tall for a page lies in rows, repeated blocks folded."""
        drawing = cls.of(history, notes)
        if history.steps or drawing.layout.height <= TALLEST:
            return drawing
        sizes = {name: entry.size for name, entry in drawing.boxes.items()}
        if (layout := valley(Dag.of(history.start), sizes, _label_sizes(drawing.labels))) is not None:
            return replace(drawing, layout=layout)
        short = folded(history.start)
        both = {name: "\n".join(filter(None, (short.notes.get(name), notes.get(name)))) for name in short.graph.nodes}
        drawing = cls.of(History(short.graph), both)
        if drawing.layout.height <= TALLEST:
            return drawing
        names = {name: LineStyle(f"from {name}", SMALL, MUTED) for block in short.blocks for name in block}
        mark = max(line.width for line in names.values()) + 16.0, 24.0
        sizes = {name: entry.size for name, entry in drawing.boxes.items()}
        found = sheet(sizes, _label_sizes(drawing.labels), short.blocks, mark)
        marks = tuple((names[name], at) for name, at in found.marks)
        return replace(drawing, layout=found.layout, marks=marks)

    @classmethod
    def of(cls, history: History, notes: Mapping[str, str] = NO_NOTES) -> Drawing:
        """Lays out all nodes and edges that a history ever had; ``notes`` are last lines in the boxes of nodes."""
        found = lives(history)
        numbers = {index: step.number for index, step in enumerate(history.steps, start=1)}
        above, below = (Counter(edge[end] for edge in found.edges) for end in (1, 0))
        boxes = {
            name: box(life, numbers.get(life.gone or 0), max(above[name], below[name]), notes.get(name, ""))
            for name, life in found.nodes.items()
        }
        labels = {
            # Where a whole node went, its box says so.
            edge: edge_label(life, None if any(found.nodes[end].gone for end in edge) else numbers.get(life.gone or 0))
            for edge, life in found.edges.items()
        }
        sizes = {name: entry.size for name, entry in boxes.items()}
        return cls(found, boxes, labels, place(sizes, _label_sizes(labels)))


def _label_sizes(labels: Mapping[EdgeId, LineStyle]) -> dict[EdgeId, tuple[float, float]]:
    """Of the labels, with some space around them."""
    across, up = _LABEL_MARGIN
    return {edge: (line.width + 2 * across, line.height + 2 * up) for edge, line in labels.items()}


def paint(
    axes: Axes, drawing: Drawing, corner: Point, colours: Sequence[str], fills: Mapping[str, str] = NO_NOTES
) -> None:
    """Paints a drawing with its upper left corner at ``corner``.

    Args:
        axes: to paint on.
        drawing: what to paint.
        corner: where.
        colours: those of the steps, 0 the start.
        fills: of the boxes of some nodes, instead of what they would have.
    """
    layout = drawing.layout
    for line, at in drawing.marks:
        moved = Rectangle(at.left + corner[0], at.top + corner[1], at.width, at.height)
        _rounded(axes, moved, at.height / 2, FAINT, PAPER, dashed=True)
        write(axes, line, *moved.centre)
    # What is gone lies below, so that it never hides what is there.
    for edge, life in sorted(drawing.lives.edges.items(), key=lambda entry: entry[1].gone is None):
        _paint_edge(axes, life, _shifted(layout.routes[edge], corner), drawing.labels[edge], colours)
    for name, node in drawing.lives.nodes.items():
        place_ = layout.boxes[name]
        at = Rectangle(place_.left + corner[0], place_.top + corner[1], place_.width, place_.height)
        _paint_box(axes, node, at, drawing.boxes[name], colours, fills.get(name))


def write(axes: Axes, line: LineStyle, x: float, y: float, side: str = "center") -> None:
    """Writes a line of text; ``y`` is its middle."""
    axes.text(
        x,
        y,
        line.text,
        fontsize=line.size,
        color=line.colour,
        fontweight=line.weight,
        ha=side,
        va="center_baseline",
        zorder=_TEXT,
        parse_math=False,
    )


def paint_bar(axes: Axes, at: Rectangle, colour: str) -> None:
    """A bar without an outline."""
    patch = Patch((at.left, at.top), at.width, at.height, facecolor=colour, edgecolor="none", zorder=_BOXES)
    axes.add_patch(patch)


def _paint_parts(axes: Axes, parts: Sequence[Part], at: Rectangle, colours: Sequence[str]) -> None:
    """A bar cut up in proportion; each part says what it added where there is room for it."""
    total, left = sum(part.features for part in parts), at.left
    for index, part in enumerate(parts):
        width, colour = at.width * part.features / total, colours[part.step]
        paint_bar(axes, Rectangle(left, at.top, width - _CUT, at.height), colour)
        text = LineStyle(f"+{part.features}" if index else f"{part.features}", TINY, ink_on(colour), bold=True)
        if text.width + 2 <= width - _CUT:
            write(axes, text, left + (width - _CUT) / 2, at.top + at.height / 2)
        left += width


def _paint_box(
    axes: Axes, life: NodeLife, at: Rectangle, content: Box, colours: Sequence[str], own: str | None = None
) -> None:
    is_input, is_output = life.name in life.dag.spec.inputs, life.name in life.dag.spec.outputs
    line, fill = (INPUT_LINE, INPUT_FILL) if is_input else (NEUTRAL, NODE_FILL)
    if life.born:
        line, fill = colours[life.born], tint(colours[life.born])
    dashed = life.gone is not None
    if dashed:
        line, fill = FAINT, PAPER
    fill = own or fill
    radius = at.height / 2 if is_input else _CORNER
    _rounded(axes, at, min(radius, 22.0), line, fill, dashed)
    if is_output:
        inner = Rectangle(at.left + _DOUBLE, at.top + _DOUBLE, at.width - 2 * _DOUBLE, at.height - 2 * _DOUBLE)
        _rounded(axes, inner, _CORNER - 2, line, fill, dashed)
    y = at.top + content.text_top
    for text in content.lines:
        text = text if own is None else replace(text, colour=ink_on(own))
        write(axes, text, at.centre[0], y + text.height / 2)
        y += text.height
    if content.parts:
        left, top, width = content.bar
        _paint_parts(axes, content.parts, Rectangle(at.left + left, at.top + top, width, BAR), colours)


def _rounded(axes: Axes, at: Rectangle, radius: float, line: str, fill: str, dashed: bool) -> None:
    style = f"round,pad=0,rounding_size={radius}"
    patch = FancyBboxPatch(
        (at.left, at.top),
        at.width,
        at.height,
        boxstyle=style,
        facecolor=fill,
        edgecolor=line,
        linewidth=1.3,
        linestyle=(0, (4, 3)) if dashed else "solid",
        zorder=_BOXES,
    )
    axes.add_patch(patch)


def _paint_edge(axes: Axes, life: EdgeLife, route: Route, label: LineStyle, colours: Sequence[str]) -> None:
    gone = life.gone is not None
    colour = FAINT if gone else colours[life.born]
    width = 1.9 if life.born and not gone else 1.2
    tip, back = _head(route.points)
    path = _rounded_path((*route.points[:-1], back))
    dashes = (0, (4, 3)) if gone else "solid"
    # A white edge below each line tells what crosses over what.
    axes.add_patch(PathPatch(path, fill=False, edgecolor=PAPER, linewidth=width + 3.0, zorder=_EDGES))
    axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, linewidth=width, linestyle=dashes, zorder=_EDGES))
    axes.add_patch(Polygon(tip, closed=True, facecolor=colour, edgecolor="none", zorder=_EDGES))
    at = route.label
    background = Patch((at.left, at.top), at.width, at.height, facecolor=PAPER, edgecolor="none", zorder=_LABELS)
    axes.add_patch(background)
    write(axes, label, *at.centre)


def _head(points: Sequence[Point]) -> tuple[list[Point], Point]:
    """The arrow's head, and where the line under it ends."""
    (x0, y0), (x1, y1) = points[-2:]
    length = hypot(x1 - x0, y1 - y0)
    x, y = (x1 - x0) / length, (y1 - y0) / length
    long, wide = _HEAD
    back = (x1 - long * x, y1 - long * y)
    return [(x1, y1), (back[0] - wide * y, back[1] + wide * x), (back[0] + wide * y, back[1] - wide * x)], back


def _rounded_path(points: Sequence[Point]) -> Path:
    """A line through points with its corners cut off round."""
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        vertices += [_towards(corner, before), corner, _towards(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*vertices, points[-1]], [*codes, Path.LINETO])


def _towards(corner: Point, other: Point) -> Point:
    """A point a little way from a corner to the next, at most half the way."""
    length = hypot(other[0] - corner[0], other[1] - corner[1])
    share = min(_BEND, length / 2) / length if length else 0.0
    return corner[0] + share * (other[0] - corner[0]), corner[1] + share * (other[1] - corner[1])


def _shifted(route: Route, corner: Point) -> Route:
    label = route.label
    return Route(
        tuple((x + corner[0], y + corner[1]) for x, y in route.points),
        Rectangle(label.left + corner[0], label.top + corner[1], label.width, label.height),
    )
