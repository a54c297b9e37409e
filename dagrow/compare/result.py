"""What a comparison hands back: its rows, as a table for people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dagrow.compare.columns import shown
from dagrow.compare.runs import ResultRow
from dagrow.compare.summary import Finished, Summary
from dagrow.report import number, table


@dataclass(frozen=True)
class Comparison:
    """What came out.

    Attributes:
        name: of the comparison.
        rows: all that it has.
        cells: those that came to their end.
        out: the comparison directory.
    """

    name: str
    rows: tuple[ResultRow, ...]
    cells: tuple[Finished, ...]
    out: Path

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """The rows that have a finished cell, in order."""
        found = [Summary(row, tuple(cell for cell in self.cells if cell.row == row)) for row in self.rows]
        return tuple(summary for summary in found if summary.cells)

    @cached_property
    def texts(self) -> tuple[list[str], list[list[str]]]:
        """Head and body of the table, as people read it."""
        columns = shown(self.summaries)
        head = ["run", "seeds", *(column.heading for column in columns), "rank corr."]
        body = [
            [
                f"  {summary.row.label}" if summary.row.of else summary.row.label,
                str(len(summary.cells)),
                *(column.text(summary.over_seeds(column.value)) for column in columns),
                number(summary.rank_correlation, 2),
            ]
            for summary in self.summaries
        ]
        return head, body

    def __str__(self) -> str:
        return table(*self.texts)
