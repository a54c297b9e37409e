"""Plain text tables: the same on a terminal, in a log and in a test."""

from __future__ import annotations

from collections.abc import Sequence

from dagrow.errors import printable


def table(header: Sequence[str], body: Sequence[Sequence[str]], left: int = 1) -> str:
    """Lines of columns, the first ``left`` flush left and the others flush right.

    Control characters of what is shown do not reach the terminal.
    """
    rows = [[printable(cell) for cell in row] for row in (header, *body)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(rows[0]), rule, *(line(row) for row in rows[1:])])


def number(value: float | None, digits: int = 4) -> str:
    """A number for a table, ``-`` for none."""
    return "-" if value is None else f"{value:.{digits}g}"
