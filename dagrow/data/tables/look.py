"""The first pass through a table: kinds of columns, the targets, and what the split needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dagrow.data.tables.arrow import as_text
from dagrow.data.tables.column import Column
from dagrow.data.tables.date_column import DateColumn
from dagrow.data.tables.number_column import NumberColumn
from dagrow.data.tables.scan import Scan
from dagrow.data.tables.scan_table import scan
from dagrow.data.tables.table_file import TableFile
from dagrow.data.tables.targets import Labels, Learned, collector, learned
from dagrow.errors import DataError
from dagrow.objectives import Loss
from dagrow.spec.table_source import TableSpec


@dataclass(frozen=True, eq=False)
class Look:
    """What a pass through a table found.

    Attributes:
        columns: that can be read as inputs, in the order of the file.
        targets: the columns to learn, in the order of the run file.
        usable: ``[n]``, rows in which no target is empty.
        count: rows in all.
        groups: ``[rows]``, the group of each; None where the run does not split by groups.
        times: ``[rows]``, likewise.
        notes: sentences on what was found.
    """

    columns: tuple[Column, ...]
    targets: list[Learned]
    usable: np.ndarray
    count: int
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def with_targets(self, targets: list[Learned]) -> Look:
        """The same with other targets."""
        return replace(self, targets=targets)


def look(table: TableFile, told: TableSpec, loss: Loss, *, scanned: bool = True) -> Look:
    """Goes through a table once.

    Args:
        table: the file.
        told: what the run file says.
        loss: which says what targets are.
        scanned: whether kinds of columns are to be found out.

    Raises:
        DataError: if there are no rows, or columns of which nothing can be made.
    """
    group, time = (None, None) if told.split is None else (told.split.group, told.split.time)
    targets = [collector(name, loss) for name in told.target]
    collectors: list[Any] = [*targets]
    if group is not None:
        collectors.append(Labels(group))
    if time is not None:
        collectors.append(_Times(time, told))
    unread = {*told.target} | ({group} - told.wanted if group else set())
    # A column that the rows are split by in time numbers them, as an id does.
    options = told if time is None else told.model_copy(update={"keep": (*told.keep, time)})
    seen = scan(table, options, unread, collectors, scanned=scanned)
    found = [learned(each, loss) for each in targets]
    usable, note = _usable(found, told, seen.rows)
    groups = next((each.numbered()[0] for each in collectors[len(targets) :] if isinstance(each, Labels)), None)
    times = next((each.all() for each in collectors if isinstance(each, _Times)), None)
    return Look(seen.columns, found, usable, seen.rows, groups, times, (*seen.notes, *note))


def _usable(targets: list[Learned], told: TableSpec, count: int) -> tuple[np.ndarray, list[str]]:
    """Rows in which no target is empty."""
    there = np.logical_and.reduce([target.there for target in targets])
    if not there.any():
        raise DataError(f"the target '{told.target[0]}' is empty in every row")
    left = count - int(there.sum())
    note = [f"{left} of {count} rows are left out: they have no target"] if left else []
    return np.flatnonzero(there), note


@dataclass
class _Times:
    """The column by which rows are split in time: dates or numbers."""

    name: str
    told: TableSpec
    column: Column | None = None
    parts: list[np.ndarray] = field(default_factory=list)

    def add(self, cells: Any, row: int) -> None:
        """Takes in a batch."""
        if self.column is None:
            self.column = self._kind(cells)
        codes = self.column.read(cells, row).codes
        if np.isnan(codes).any():
            number = row + int(np.isnan(codes).argmax())
            raise DataError(f"row {number}, column '{self.name}': the cell is empty, and rows are split by it")
        self.parts.append(codes)

    def all(self) -> np.ndarray:
        """The time of each row."""
        return np.concatenate(self.parts)

    def _kind(self, cells: Any) -> Column:
        told = self.told.date_formats.get(self.name)
        if told is not None or self.told.types.get(self.name) == "date":
            return DateColumn(self.name, told or "")
        seen = Scan(self.name)
        seen.add(cells)
        found = seen.kind(None, None)
        if not isinstance(found, NumberColumn | DateColumn):
            shown = as_text(cells.drop_null())[0].as_py()
            raise DataError(f"column '{self.name}' is no time to split by (there is {shown!r:.40})")
        return found
