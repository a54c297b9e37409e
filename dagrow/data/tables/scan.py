"""A first look at a column: of which kind it is, and whether anything could be learned from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dagrow.data.tables.arrow import arrow, as_text, is_text
from dagrow.data.tables.boolean_column import BooleanColumn, truth
from dagrow.data.tables.category_column import CategoryColumn, counted
from dagrow.data.tables.column import Column
from dagrow.data.tables.columns import COLUMNS
from dagrow.data.tables.date_column import DateColumn, iso_times
from dagrow.data.tables.number_column import NumberColumn
from dagrow.data.tables.numeric import as_floats
from dagrow.errors import DataError

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_CODE = r"^0\d+$"
_MANY = 20
"""Rows from which a column whose values all differ looks like an id."""
_FAR = 2**24
"""Offsets up to which the sum of the squares of a batch fits into 64 bits."""
_SHARE = 0.9
"""Of different values among words, above which they look like ids or free text."""


@dataclass
class Numbering:
    """Whether numbers are those from the smallest to the largest, each once, in any order.

    Known from their count, sum and sum of squares, relative to the first: in whole numbers, so exactly.

    Attributes:
        first: number; None before there is one.
        low: smallest offset from it.
        high: largest.
        total: of the offsets.
        squares: of them.
        possible: whether all were whole numbers near enough to the first.
    """

    first: float | None = None
    low: int = 0
    high: int = 0
    total: int = 0
    squares: int = 0
    possible: bool = True

    def add(self, values: np.ndarray) -> None:
        """Takes in some of them, ``[n]`` floats."""
        if self.first is None:
            self.first = float(values[0])
        self.possible = self.possible and bool(np.isfinite(values).all() and np.isfinite(self.first))
        offsets = values - self.first if self.possible else values[:0]
        self.possible = self.possible and bool((np.abs(offsets) < _FAR).all() and (offsets == np.floor(offsets)).all())
        if self.possible:
            whole = offsets.astype(np.int64)
            self.low, self.high = min(self.low, int(whole.min())), max(self.high, int(whole.max()))
            self.total += int(whole.sum())
            self.squares += int((whole * whole).sum())

    def of(self, count: int) -> bool:
        """Whether so many numbers are a numbering."""
        low, high = self.low, self.high
        if not self.possible or high - low + 1 != count:
            return False
        total = (low + high) * count // 2
        squares = _squares(high) - _squares(low - 1) if low > 0 else _squares(high) + _squares(-low)
        return (self.total, self.squares) == (total, squares)


def _squares(n: int) -> int:
    """``0 + 1 + 4 + ... + n^2``."""
    return n * (n + 1) * (2 * n + 1) // 6


@dataclass
class Scan:
    """What the cells of one column have in common.

    Attributes:
        name: of the column.
        rows: seen so far.
        present: of them not empty.
        numbers: of these that are numbers.
        truths: that are true or false.
        dates: whether all are dates.
        codes: whether there are digits with a 0 before them, such as 0041: a name, not a number.
        counts: how often each is there, of text.
        stranger: the first cell that is no number, and its row.
        numbering: of the rows, in any order, if the numbers are one.
        gaps: whether a cell was empty.
        type: of the cells, as arrow names it.
    """

    name: str
    rows: int = 0
    present: int = 0
    numbers: int = 0
    truths: int = 0
    dates: bool = True
    codes: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    stranger: tuple[str, int] | None = None
    numbering: Numbering = field(default_factory=Numbering)
    gaps: bool = False
    type: Any = None

    def add(self, cells: Any) -> None:
        """Takes in a batch."""
        self.type = cells.type
        present = cells.drop_null()
        if len(present):
            (self._text if is_text(cells) else self._typed)(cells, present)
        self.rows += len(cells)
        self.present += len(present)
        self.gaps = self.gaps or len(present) < len(cells)

    def _text(self, cells: Any, present: Any) -> None:
        compute, invalid = arrow("compute"), arrow().ArrowInvalid
        present = as_text(present)
        codes = compute.any(compute.match_substring_regex(present, pattern=_CODE)).as_py()
        self.codes = self.codes or codes
        if not codes:
            try:
                self._numbers(as_floats(present))
                self.dates = False
                return
            except invalid:
                pass
        self.numbering.possible = False
        matches = compute.match_substring_regex(present, pattern=_NUMBER)
        self.numbers += compute.sum(matches).as_py() or 0
        if self.stranger is None and not codes:
            first = int(np.argmin(matches.to_numpy(zero_copy_only=False)))
            value = present[first].as_py()
            row = as_text(cells).index(value).as_py()
            self.stranger = (value, self.rows + row + 1)
        self.truths += int((~np.isnan(truth(present))).sum())
        if self.dates:
            try:
                iso_times(present)
            except invalid:
                self.dates = False
        counted(self.counts, present)

    def _typed(self, cells: Any, present: Any) -> None:
        types = arrow().types
        numeric = any(
            check(cells.type) for check in (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
        )
        if numeric:
            self._numbers(as_floats(present))

    def _numbers(self, values: np.ndarray) -> None:
        self.numbers += len(values)
        self.numbering.add(values)

    def kind(self, told: str | None, date_format: str | None) -> Column:
        """The kind of the column, as a person says or as it looks.

        Raises:
            DataError: if it holds what no kind takes, or numbers among which something else stands.
        """
        if date_format is not None or told == "date":
            return DateColumn(self.name, date_format or "")
        if told is not None:
            return COLUMNS[told](self.name)
        if is_text_type(self.type):
            return self._kind_of_text()
        types = arrow().types
        if types.is_boolean(self.type):
            return BooleanColumn(self.name)
        if types.is_timestamp(self.type) or types.is_date(self.type):
            return DateColumn(self.name)
        if types.is_integer(self.type) or types.is_floating(self.type) or types.is_decimal(self.type):
            return NumberColumn(self.name)
        if types.is_dictionary(self.type):
            return CategoryColumn(self.name)
        if types.is_null(self.type):
            return CategoryColumn(self.name)
        raise DataError(f"column '{self.name}' holds {self.type}, of which no feature can be made; drop it")

    def _kind_of_text(self) -> Column:
        if self.codes:
            return CategoryColumn(self.name)
        if self.numbers == self.present:
            return NumberColumn(self.name)
        if 2 * self.numbers > self.present and self.stranger is not None:
            value, row = self.stranger
            raise DataError(
                f"column '{self.name}': {self.present - self.numbers} of {self.present} cells are no numbers, "
                f"the first is {value[:40]!r} in row {row}; name it in 'missing' if it stands for nothing, "
                f"or say 'types: {{{self.name}: category}}'"
            )
        if self.truths == self.present:
            return BooleanColumn(self.name)
        return DateColumn(self.name) if self.dates else CategoryColumn(self.name)

    def reason_to_leave_out(self, column: Column) -> str | None:
        """Why nothing could be learned from the column, for a person; None if it could."""
        if not self.present:
            return "it is empty"
        if isinstance(column, NumberColumn) and self.rows >= _MANY and not self.gaps and self.numbering.of(self.rows):
            return "it counts the rows"
        different = len(self.counts) > _SHARE * sum(self.counts.values())
        if isinstance(column, CategoryColumn) and different and self.present >= _MANY:
            return f"it looks like an id or free text ({len(self.counts)} different values)"
        return None


def is_text_type(kind: Any) -> bool:
    """Whether an arrow type is text."""
    types = arrow().types
    return any(check(kind) for check in (types.is_string, types.is_large_string, types.is_string_view))
