"""One picture: title, graph, and beside it the steps of its growth. One unit of the axes is one point."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

from dagrow.graph import Dag, cost
from dagrow.report.history import History
from dagrow.report.picture.network import Drawing, paint, write
from dagrow.report.picture.steps import Table
from dagrow.report.picture.style import MUTED, TEXT, TITLE, LineStyle, as_delivered, step_colours
from dagrow.spec.graph import GraphSpec

_MARGIN, _BETWEEN, _BELOW_TITLE = 24.0, 56.0, 16.0
_DOTS, _MOST_DOTS = 160.0, 12_000.0
"""Of a PNG: per inch, and at most along one side."""


def draw(history: History, form: str, *, title: str, note: str = "") -> bytes:
    """The picture of a graph and its growth, in a format that matplotlib knows; the same input gives the same bytes."""
    with as_delivered():
        figure = _figure(history, _heading(history, title, note))
        longest = max(figure.get_size_inches())
        file = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {}
        figure.savefig(file, format=form, dpi=min(_DOTS, _MOST_DOTS / longest), metadata=metadata)
    return file.getvalue()


def _figure(history: History, heading: list[LineStyle]) -> Figure:
    colours = step_colours(history.effects)
    drawing = Drawing.on_a_page(history)
    layout = drawing.layout
    table = Table.of(history, colours, layout.height) if history.steps else None
    beside = (_BETWEEN + table.width, table.height) if table else (0.0, 0.0)
    top = _MARGIN + sum(line.height for line in heading) + _BELOW_TITLE
    width = 2 * _MARGIN + max(layout.width + beside[0], *(line.width for line in heading))
    height = top + max(layout.height, beside[1]) + _MARGIN
    figure = Figure(figsize=(width / 72, height / 72), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0.0, width)
    axes.set_ylim(height, 0.0)
    y = _MARGIN
    for line in heading:
        write(axes, line, _MARGIN, y + line.height / 2, "left")
        y += line.height
    left = _MARGIN + max(0.0, (width - 2 * _MARGIN - layout.width) / 2 if table is None else 0.0)
    paint(axes, drawing, (left, top), colours)
    if table:
        table.paint(axes, (_MARGIN + layout.width + _BETWEEN, top))
    return figure


def _heading(history: History, title: str, note: str) -> list[LineStyle]:
    first, last = (_counts(graph) for graph in (history.start, history.end))
    counts = " · ".join(
        f"{after:,} {what[: -1 if after == 1 else None]}" if before == after else f"{before:,} → {after:,} {what}"
        for what, before, after in zip(("nodes", "edges", "parameters", "multiply-adds"), first, last, strict=True)
    )
    lines = [LineStyle(title, TITLE, bold=True), LineStyle(counts, TEXT, MUTED)]
    return [*lines, LineStyle(note, TEXT, MUTED)] if note else lines


def _counts(graph: GraphSpec) -> tuple[int, int, int, int]:
    return len(graph.nodes), len(graph.edges), *cost(Dag.of(graph))
