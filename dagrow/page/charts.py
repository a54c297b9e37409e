"""Lines over epochs as SVG elements: scores and sizes while a network grows, with a mark at each growth step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dagrow.page.html import Markup, element, joined
from dagrow.report import number

_WIDTH, _HEIGHT = 560.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 12.0, 30.0, 34.0
_TICKS = 4
COLOURS = ("#3b5bdb", "#f76707", "#0c8599")


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        name: in the legend.
        points: ``(epoch, value)`` in order; values that are no numbers are left out.
        steps: whether the value stays until the next point.
    """

    name: str
    points: tuple[tuple[float, float | None], ...]
    steps: bool = False

    @property
    def finite(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [(x, y) for x, y in self.points if y is not None and math.isfinite(y)]


def chart(title: str, series: Sequence[Series], marks: Sequence[float] = ()) -> Markup | None:
    """A chart with time to the right; None where there is nothing to draw.

    Args:
        title: stands above it.
        series: the lines.
        marks: epochs at which the network grew.
    """
    drawn = [each for each in series if each.finite]
    points = [point for each in drawn for point in each.finite]
    if len(points) < 2:
        return None
    last = max(1.0, *(x for x, _ in points), *marks)
    low, high = min(y for _, y in points), max(y for _, y in points)
    low, high = (low, high) if high > low else (low - abs(low or 1.0) / 2, high + abs(high or 1.0) / 2)

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / last
        return across, _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - y) / (high - low)

    parts = [_text(title, _LEFT, 16.0, class_="title")]
    for index in range(_TICKS + 1):
        value = low + (high - low) * index / _TICKS
        y = at(0.0, value)[1]
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, class_="grid"))
        parts.append(_text(_tick(value), _LEFT - 6, y + 4, text_anchor="end"))
    for mark in marks:
        x = at(mark, low)[0]
        parts.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM, class_="mark"))
    for share in (0.0, 0.5, 1.0):
        parts.append(_text(f"{share * last:g}", at(share * last, low)[0], _HEIGHT - _BOTTOM + 15, text_anchor="middle"))
    parts.append(_text("epoch", _WIDTH - _RIGHT, _HEIGHT - 4, text_anchor="end"))
    for index, each in enumerate(drawn):
        colour = COLOURS[index % len(COLOURS)]
        corners = [at(*point) for point in _corners(each)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        parts.append(element("polyline", points=path, fill="none", stroke=colour, stroke_width="1.8"))
        left = _WIDTH - _RIGHT - 110.0 * (len(drawn) - index)
        parts.append(_line(left, 12.0, left + 16, 12.0, stroke=colour, stroke_width="3"))
        parts.append(_text(each.name, left + 21, 16.0))
    box = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    return element("svg", joined(parts), viewBox=box, role="img", aria_label=title, class_="chart")


def _corners(series: Series) -> list[tuple[float, float]]:
    points = series.finite
    if not series.steps:
        return points
    found = points[:1]
    for (_, before), (x, y) in pairwise(points):
        found += [(x, before), (x, y)]
    return found


def _tick(value: float) -> str:
    """Three digits, but whole numbers of parameters in full."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e7 else number(value, 3)


def _text(text: str, x: float, y: float, **attributes: object) -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", **attributes)


def _line(x0: float, y0: float, x1: float, y1: float, **attributes: object) -> Markup:
    return element("line", x1=f"{x0:.1f}", y1=f"{y0:.1f}", x2=f"{x1:.1f}", y2=f"{y1:.1f}", **attributes)
