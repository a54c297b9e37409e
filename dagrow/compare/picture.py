"""The picture of a comparison: score against parameters, and against the time that was spent."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dagrow.compare.columns import PARAMETERS, SECONDS, Column, score
from dagrow.compare.result import Comparison
from dagrow.compare.summary import Spread, Summary
from dagrow.errors import printable
from dagrow.report.picture.style import FAINT, INK, MUTED, SMALL, TEXT, TITLE, as_delivered, step_colours

_PANEL, _LEGEND_LINE = (4.6, 3.4), 0.2
"""Inches."""
_MARKS = "oosD^vPX*<>p"


def draw(comparison: Comparison) -> bytes:
    """A PNG: a mark for the mean of each row, bars for its standard deviations, a dot for each seed."""
    summaries = comparison.summaries
    told = score(summaries)
    height = _PANEL[1] + 0.6 + _LEGEND_LINE * len(summaries)
    with as_delivered():
        figure = Figure(figsize=(2 * _PANEL[0], height), facecolor="white", layout="constrained")
        figure.suptitle(printable(comparison.name), fontsize=TITLE, color=INK)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, across in zip(panels, (PARAMETERS, SECONDS), strict=True):
            _panel(axes, summaries, across, told)
        panels[0].set_xlabel("parameters", fontsize=TEXT, color=MUTED)
        panels[1].set_xlabel("seconds of training and growth", fontsize=TEXT, color=MUTED)
        panels[0].set_ylabel(told.heading, fontsize=TEXT, color=MUTED)
        marks, labels = panels[0].get_legend_handles_labels()
        figure.legend(marks, labels, loc="outside lower center", fontsize=SMALL, frameon=False, ncols=2)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=160)
    return file.getvalue()


def _panel(axes: Axes, summaries: Sequence[Summary], across: Column, up: Column) -> None:
    groups = list(dict.fromkeys(summary.row.of or summary.row.label for summary in summaries))
    colours = dict(zip(groups, step_colours([True] * len(groups))[1:], strict=True))
    kinds = list(dict.fromkeys(summary.row.label if summary.row.of else "" for summary in summaries))
    for summary in summaries:
        colour = colours[summary.row.of or summary.row.label]
        mark = _MARKS[kinds.index(summary.row.label if summary.row.of else "") % len(_MARKS)]
        x, y = summary.over_seeds(across.value), summary.over_seeds(up.value)
        if x is None or y is None:
            continue
        points = [(across.value(cell.outcome), up.value(cell.outcome)) for cell in summary.cells]
        axes.plot(*zip(*points, strict=True), ".", color=colour, alpha=0.4, markersize=4)
        axes.errorbar(
            x.mean, y.mean, _bar(y), _bar(x), fmt=mark, color=colour, label=printable(str(summary.row)), markersize=6,
            markerfacecolor="white" if summary.row.of else colour, elinewidth=0.8, capsize=2,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.grid(color=FAINT, linewidth=0.3)
    axes.tick_params(which="both", labelsize=SMALL, colors=MUTED)


def _bar(spread: Spread) -> float:
    return spread.deviation or 0.0
