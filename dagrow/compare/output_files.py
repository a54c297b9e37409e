"""What a comparison leaves behind: two CSV files, a Markdown table and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dagrow.compare.columns import COLUMNS
from dagrow.compare.result import Comparison
from dagrow.errors import DagrowError
from dagrow.files import replace_file
from dagrow.files.disk import disk_errors
from dagrow.report import Reporter
from dagrow.report.pictures import need_packages


def write_comparison(comparison: Comparison, reporter: Reporter) -> None:
    """Writes ``rows.csv``, ``cells.csv``, ``table.md`` and ``accuracy.png`` into the comparison directory.

    Without the packages that pictures need there is none, and the reporter is told so.

    Raises:
        DagrowError: if the disk refuses.
    """
    out = comparison.out
    _write(_rows(comparison).encode(), out / "rows.csv")
    _write(_cells(comparison).encode(), out / "cells.csv")
    _write(markdown(comparison).encode(), out / "table.md")
    if not comparison.cells:
        return
    try:
        need_packages("matplotlib")
    except DagrowError as error:
        reporter.say(f"{out / 'accuracy.png'} is left out: {error}")
        return
    from dagrow.compare.picture import draw

    _write(draw(comparison), out / "accuracy.png")


def _write(content: bytes, path: Path) -> None:
    """In the place of a link, too: nothing outside the directory is written."""
    with disk_errors(path.parent):
        replace_file(path, content)


def markdown(comparison: Comparison) -> str:
    """The table in Markdown, controls set in by a dash."""
    head, body = comparison.texts
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "".join("| " + " | ".join(cell.replace("  ", "– ", 1) for cell in line) + " |\n" for line in lines)


def _rows(comparison: Comparison) -> str:
    parts = [f"{column.name}_{part}" for column in COLUMNS for part in ("mean", "std")]
    body = []
    for summary in comparison.summaries:
        spreads = [summary.over_seeds(column.value) or (None, None) for column in COLUMNS]
        seeds = " ".join(map(str, summary.seeds))
        numbers = [number for spread in spreads for number in spread]
        body.append([summary.row.label, summary.row.of, seeds, *numbers, summary.rank_correlation])
    return _csv(["run", "control_of", "seeds", *parts, "rank_correlation"], body)


def _cells(comparison: Comparison) -> str:
    body = [
        [cell.row.label, cell.row.of, cell.seed, *(column.value(cell.outcome) for column in COLUMNS)]
        for cell in comparison.cells
    ]
    return _csv(["run", "control_of", "seed", *(column.name for column in COLUMNS)], body)


def _csv(head: Sequence[str], body: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(body)
    return file.getvalue()
