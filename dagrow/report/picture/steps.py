"""Paints the steps of a run as a table beside the graph: what came, its gain as a bar, and the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dagrow.graph import changes
from dagrow.report.history import GrowthStep, History
from dagrow.report.labels import brief
from dagrow.report.picture.layout import Point, Rectangle
from dagrow.report.picture.network import paint_bar, write
from dagrow.report.picture.style import FAINT, MUTED, PAPER, SMALL, LineStyle, tint
from dagrow.report.table import number

_ROW, _GAP, _COLUMN_GAP = 19.0, 14.0, 44.0
_SWATCH, _BAR, _DIGITS = 10.0, 120.0, 3
_LETTERS, _WORDS = 44, 3
_HEAD = ("step", "change", "gain, held out below", "gain", "held out", "train loss")


@dataclass(frozen=True)
class StepRow:
    """A line of the table.

    Attributes:
        step: its name.
        change: what happened.
        colour: of the step, on its swatch and bars.
        gain: of the insertion, and on held-out samples.
        loss: training loss after it.
        total: whether the line sums up the others.
    """

    step: str
    change: str
    colour: str = PAPER
    gain: tuple[float | None, float | None] = (None, None)
    loss: str = ""
    total: bool = False

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        """As text, in the order of the head."""
        gains = ("" if value is None else number(value, _DIGITS) for value in self.gain)
        first, second = (text.replace("-", "−") for text in gains)
        return self.step, self.change, "", first, second, self.loss


@dataclass(frozen=True)
class Table:
    """The steps of a history, cut into columns no longer than ``length``."""

    rows: tuple[StepRow, ...]
    widths: tuple[float, ...]
    length: int

    @classmethod
    def of(cls, history: History, colours: Sequence[str], height: float) -> Table:
        """All rows; a column is as long as ``height`` allows, 30 rows at least."""
        rows = tuple(_rows(history, colours))
        table = [_HEAD, *(row.cells for row in rows)]
        widths = [max(LineStyle(cells[i], SMALL, bold=True).width for cells in table) for i in range(len(_HEAD))]
        widths[0] += _SWATCH + 6.0
        widths[2] = _BAR
        return cls(rows, tuple(widths), max(30, int(height / _ROW) - 1))

    @property
    def width(self) -> float:
        """Of all columns."""
        return self.columns * self.column_width + (self.columns - 1) * _COLUMN_GAP

    @property
    def height(self) -> float:
        """Of the longest column."""
        return (min(len(self.rows), self.length) + 1) * _ROW

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return -(-len(self.rows) // self.length)

    @property
    def column_width(self) -> float:
        """Of one column."""
        return sum(self.widths) + _GAP * (len(self.widths) - 1)

    def paint(self, axes: Axes, corner: Point) -> None:
        """Paints the table with its upper left corner at ``corner``."""
        largest = max(
            (gain for row in self.rows if not row.total for gain in row.gain if gain is not None), default=0.0
        )
        for index in range(self.columns):
            left = corner[0] + index * (self.column_width + _COLUMN_GAP)
            rows = self.rows[index * self.length : (index + 1) * self.length]
            self._paint_head(axes, left, corner[1])
            for line, row in enumerate(rows, start=1):
                self._paint_row(axes, row, left, corner[1] + line * _ROW, largest)

    def _paint_head(self, axes: Axes, left: float, top: float) -> None:
        for text, x, side in self._places(_HEAD, left):
            write(axes, LineStyle(text, SMALL, MUTED, bold=True), x, top + _ROW / 2, side)
        _rule(axes, left, left + self.column_width, top + _ROW - 1)

    def _paint_row(self, axes: Axes, row: StepRow, left: float, top: float, largest: float) -> None:
        if row.total:
            _rule(axes, left, left + self.column_width, top)
        else:
            paint_bar(axes, Rectangle(left, top + (_ROW - _SWATCH) / 2, _SWATCH, _SWATCH), row.colour)
            self._paint_bars(axes, row, left + sum(self.widths[:2]) + 2 * _GAP, top, largest)
        for text, x, side in self._places(row.cells, left):
            write(axes, LineStyle(text, SMALL, bold=row.total), x, top + _ROW / 2, side)

    def _paint_bars(self, axes: Axes, row: StepRow, left: float, top: float, largest: float) -> None:
        """The gain above, the held-out gain below and lighter."""
        shades = (row.colour, tint(row.colour, 0.5))
        for gain, y, height, shade in zip(row.gain, (3.5, 11.2), (7.0, 3.5), shades, strict=True):
            if gain is not None and gain > 0:
                paint_bar(axes, Rectangle(left, top + y, max(_BAR * gain / largest, 1.0), height), shade)

    def _places(self, cells: Sequence[str], left: float) -> Iterator[tuple[str, float, str]]:
        """Texts with where they stand: words flush left, the first beside its swatch, and numbers flush right."""
        for index, (text, width) in enumerate(zip(cells, self.widths, strict=True)):
            if index < _WORDS:
                yield text, left + (0.0 if index else _SWATCH + 6.0), "left"
            else:
                yield text, left + width, "right"
            left += width + _GAP


def _rows(history: History, colours: Sequence[str]) -> Iterator[StepRow]:
    yield StepRow("start", "", colours[0], loss=_loss(history.first_loss))
    for step, (before, after), colour in zip(history.steps, pairwise(history.graphs), colours[1:], strict=True):
        change = _short(brief(changes(before, after)) or step.note or "no change")
        yield StepRow(str(step.number), change, colour, (step.gain, step.held_out_gain), _loss(step.loss))
    if history.last_loss is not None:
        yield StepRow("end", "", loss=_loss(history.last_loss))
    yield StepRow("total", "", gain=_sums(history.steps), loss=_drop(history), total=True)


def _sums(steps: Sequence[GrowthStep]) -> tuple[float | None, float | None]:
    gains = [step.gain for step in steps if step.gain is not None]
    held_out = [step.held_out_gain for step in steps if step.held_out_gain is not None]
    return sum(gains) if gains else None, sum(held_out) if held_out else None


def _drop(history: History) -> str:
    """By how much the loss fell, training included."""
    losses = [history.first_loss, *(step.loss for step in history.steps), history.last_loss]
    known = [loss for loss in losses if loss is not None]
    return _loss(known[-1] - known[0]) if len(known) > 1 else ""


def _loss(value: float | None) -> str:
    return "" if value is None else number(value).replace("-", "−")


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1].rstrip(", ") + "…"


def _rule(axes: Axes, left: float, right: float, y: float) -> None:
    axes.add_line(Line2D((left, right), (y, y), color=FAINT, linewidth=0.8))
