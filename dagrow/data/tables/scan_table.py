"""A pass through a table that finds out which of its columns can be read, and as what."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

from dagrow.data.tables.column import Column
from dagrow.data.tables.scan import Scan
from dagrow.data.tables.table_file import TableFile
from dagrow.errors import DataError
from dagrow.spec.column_options import ColumnOptions


class Collector(Protocol):
    """What takes in the cells of one column."""

    name: str

    def add(self, cells: Any, row: int) -> None:
        """Takes in a batch, whose first row has this number, from 1."""


class Scanned(NamedTuple):
    """What a pass found.

    Attributes:
        columns: that can be read as inputs, in the order of the table.
        rows: how many there are.
        notes: why other columns are left out, in sentences.
    """

    columns: tuple[Column, ...]
    rows: int
    notes: tuple[str, ...]


def scan(
    table: TableFile,
    options: ColumnOptions,
    unread: Collection[str] = (),
    collectors: Sequence[Collector] = (),
    *,
    scanned: bool = True,
) -> Scanned:
    """Goes through a table once.

    Args:
        table: with its columns.
        options: what a person says of them.
        unread: names of columns that are no inputs.
        collectors: take in further columns in the same pass.
        scanned: whether kinds of columns are to be found out.

    Raises:
        DataError: if there are no rows, or columns of which nothing can be made.
    """
    left = {*unread} | ({*options.drop} - options.wanted)
    scans = [Scan(name) for name in table.names if name not in left] if scanned else []
    if options.inputs:
        scans = [each for each in scans if each.name in options.wanted]
    wanted = {each.name for each in scans} | {each.name for each in collectors}
    count = 0
    for batch in table.batches(wanted):
        for collector in collectors:
            collector.add(batch[collector.name], count + 1)
        for each in scans:
            each.add(batch[each.name])
        count += len(next(iter(batch.values())))
    if not count:
        raise DataError("the table has a header but no samples")
    return _kinds(scans, options, count)


def _kinds(scans: Sequence[Scan], options: ColumnOptions, count: int) -> Scanned:
    """The columns to read, and why others are left out."""
    columns, notes = [], []
    for each in scans:
        column = each.kind(options.types.get(each.name), options.date_formats.get(each.name))
        reason = each.reason_to_leave_out(column)
        if reason is None or (each.present and each.name in options.wanted):
            columns.append(column)
        else:
            more = f" (keep: [{each.name}] reads it)" if each.present else ""
            notes.append(f"column '{each.name}' is left out: {reason}{more}")
    return Scanned(tuple(columns), count, tuple(notes))
