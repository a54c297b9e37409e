"""A graph whose nodes are coloured by a share, and beside it a column of bars with intervals."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dagrow.report.history import History
from dagrow.report.marks import Bar, NodeMark
from dagrow.report.picture.layout import Point, Rectangle
from dagrow.report.picture.network import Drawing, paint, paint_bar, write
from dagrow.report.picture.style import (
    FAINT,
    INK,
    MUTED,
    NEUTRAL,
    NODE_FILL,
    SMALL,
    TEXT,
    TITLE,
    LineStyle,
    as_delivered,
    step_colours,
)
from dagrow.report.table import number
from dagrow.spec.graph import GraphSpec

_MARGIN, _BETWEEN, _BELOW_TITLE = 24.0, 56.0, 16.0
_ROW, _BAR, _GAP, _THICK = 30.0, 180.0, 12.0, 9.0
_DOTS, _MOST_DOTS = 160.0, 12_000.0
_SCALE = LinearSegmentedColormap.from_list("shares", (NODE_FILL, "#ffd8a8", "#f76707", "#a61e4d"))
_BAR_COLOUR = "#3b5bdb"


def draw_marked(
    graph: GraphSpec,
    form: str,
    marks: Mapping[str, NodeMark],
    bars: Sequence[Bar],
    bars_title: str,
    *,
    title: str,
    note: str = "",
) -> bytes:
    """The picture, in a format that matplotlib knows; the same input gives the same bytes."""
    with as_delivered():
        history = History(graph)
        drawing = Drawing.on_a_page(history, {name: mark.text for name, mark in marks.items()})
        heading = [LineStyle(title, TITLE, bold=True), *([LineStyle(note, TEXT, MUTED)] if note else [])]
        column = BarColumn(bars_title, bars)
        layout = drawing.layout
        top = _MARGIN + sum(line.height for line in heading) + _BELOW_TITLE
        beside = _BETWEEN + column.width if bars else 0.0
        width = 2 * _MARGIN + max(layout.width + beside, *(line.width for line in heading))
        height = top + max(layout.height, column.height if bars else 0.0) + _MARGIN
        figure = Figure(figsize=(width / 72, height / 72), facecolor="white")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(0.0, width)
        axes.set_ylim(height, 0.0)
        y = _MARGIN
        for line in heading:
            write(axes, line, _MARGIN, y + line.height / 2, "left")
            y += line.height
        fills = {name: to_hex(_SCALE(min(1.0, max(0.0, mark.share)))) for name, mark in marks.items()}
        paint(axes, drawing, (_MARGIN, top), step_colours(history.effects), fills)
        if bars:
            column.paint(axes, (_MARGIN + layout.width + _BETWEEN, top))
        file = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {}
        dots = min(_DOTS, _MOST_DOTS / max(figure.get_size_inches()))
        figure.savefig(file, format=form, dpi=dots, metadata=metadata)
    return file.getvalue()


class BarColumn:
    """Bars below one another, all on one scale, each with its interval as a whisker."""

    def __init__(self, title: str, bars: Sequence[Bar]) -> None:
        self.title, self.bars = LineStyle(title, TEXT, bold=True), bars
        self.names = [LineStyle(bar.label, TEXT, bold=True) for bar in bars]
        self.values = [LineStyle(_said(bar), SMALL) for bar in bars]
        self.costs = [LineStyle(bar.text, SMALL, MUTED) for bar in bars]
        ends = [end for bar in bars for end in (bar.value or 0.0, *(bar.interval or ())) if math.isfinite(end)]
        self.low, self.high = min((0.0, *ends)), max((0.0, *ends))

    @property
    def width(self) -> float:
        """Of names, bars and what stands behind them."""
        behind = max((line.width for line in (*self.values, *self.costs)), default=0.0)
        return max(self.title.width, self._name_width + _GAP + _BAR + _GAP + behind)

    @property
    def height(self) -> float:
        """With the title."""
        return _ROW * (len(self.bars) + 1)

    @property
    def _name_width(self) -> float:
        return max((line.width for line in self.names), default=0.0)

    def paint(self, axes: Axes, corner: Point) -> None:
        """Paints the column with its upper left corner at ``corner``."""
        left, y = corner[0], corner[1]
        write(axes, self.title, left, y + _ROW / 2, "left")
        start = left + self._name_width + _GAP
        zero = self._x(0.0, start)
        bottom = y + self.height
        axes.add_line(Line2D((zero, zero), (y + _ROW, bottom), color=FAINT, linewidth=0.8))
        for bar, name, value, cost in zip(self.bars, self.names, self.values, self.costs, strict=True):
            y += _ROW
            middle = y + _ROW / 2
            write(axes, name, left, middle, "left")
            end = self._x(bar.value or 0.0, start)
            at = Rectangle(min(zero, end), middle - _THICK / 2, abs(end - zero), _THICK)
            paint_bar(axes, at, _BAR_COLOUR if end >= zero else NEUTRAL)
            if bar.interval is not None:
                low, high = (self._x(each, start) for each in bar.interval)
                axes.add_line(Line2D((low, high), (middle, middle), color=INK, linewidth=1.1, zorder=5))
                for x in (low, high):
                    axes.add_line(Line2D((x, x), (middle - 4, middle + 4), color=INK, linewidth=1.1, zorder=5))
            write(axes, value, start + _BAR + _GAP, middle - 6, "left")
            write(axes, cost, start + _BAR + _GAP, middle + 6, "left")

    def _x(self, value: float, start: float) -> float:
        span = self.high - self.low or 1.0
        return float(start + _BAR * (min(max(value, self.low), self.high) - self.low) / span)


def _said(bar: Bar) -> str:
    if bar.value is None:
        return ""
    if bar.interval is None:
        return number(bar.value, 3).replace("-", "−")
    half = (bar.interval[1] - bar.interval[0]) / 2
    return f"{number(bar.value, 3)} ± {number(half, 2)}".replace("-", "−")
