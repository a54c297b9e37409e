"""The columns of a table as the inputs of a graph read them: fitted on training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dagrow.data.step import PreprocessingStep
from dagrow.data.stored import StoredRows
from dagrow.data.tables.column import Column, Encoding, Limits, Unusable
from dagrow.data.tables.encoder import Encoded, encoded
from dagrow.data.tables.table_file import TableFile, TextOptions
from dagrow.data.tables.table_reader import TableReader
from dagrow.data.tables.table_rows import TableRows
from dagrow.errors import DataError, did_you_mean, listed
from dagrow.spec.column_options import ColumnOptions


@dataclass(frozen=True)
class FittedColumns:
    """What the inputs of a graph read of a table.

    Attributes:
        inputs: of the graph, with their columns.
        gaps: names of columns in which training rows had empty cells.
        notes: sentences on what is read, and what is left out.
    """

    inputs: tuple[Encoded, ...]
    gaps: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, input by input."""
        return tuple(column.name for part in self.inputs for column in part.columns)

    @property
    def steps(self) -> tuple[tuple[PreprocessingStep, ...], ...]:
        """Of each input, from raw values to features."""
        return tuple(part.steps for part in self.inputs)

    def reader(self, table: TableFile, options: TextOptions) -> TableReader:
        """Of further tables like this one."""
        read = self.names
        unread = tuple(name for name in table.names if name not in read)
        return TableReader(tuple(part.columns for part in self.inputs), unread, options, self.gaps)

    def stored(self, table: TableFile, rows: np.ndarray, count: int) -> tuple[StoredRows, ...]:
        """The raw values of some rows of a table that has ``count``, for each input."""
        return tuple(StoredRows(TableRows(table, part.columns, rows, count)) for part in self.inputs)


def fit_columns(
    table: TableFile,
    columns: Sequence[Column],
    count: int,
    rows: np.ndarray,
    options: ColumnOptions,
    inputs: Sequence[str],
    left: Sequence[str] = (),
) -> FittedColumns:
    """Fits columns on training rows, in one pass.

    Args:
        table: that has them.
        columns: to read.
        count: rows of the table.
        rows: those to fit on.
        options: what a person says of the columns.
        inputs: names of the inputs of the graph.
        left: why others were left out before, for the message when none is left.

    Raises:
        DataError: if nothing can be learned from any column, or from one that an input reads.
    """
    tallies = [(column, column.tally()) for column in columns]
    mine = np.zeros(count, dtype=bool)
    mine[rows] = True
    start = 0
    for batch in table.batches({column.name for column in columns}):
        size = len(next(iter(batch.values()), ()))
        for column, tally in tallies:
            tally.add(batch[column.name], mine[start : start + size], start + 1)
        start += size
    found, notes = [], []
    for column, tally in tallies:
        try:
            found.append(tally.fitted(Limits(options.max_categories, options.min_count)))
        except Unusable as reason:
            notes.append(f"column '{column.name}' is left out: {reason}")
    if not found:
        raise DataError("no column is left to learn from" + "".join(f"; {note}" for note in (*left, *notes)))
    parts = _by_input(found, options, inputs)
    gaps = tuple(column.name for column, encoding in found if encoding.gaps)
    return FittedColumns(parts, gaps, (*notes, *_described(parts, inputs)))


def _by_input(
    fitted: Sequence[tuple[Column, Encoding]], options: ColumnOptions, names: Sequence[str]
) -> tuple[Encoded, ...]:
    """The columns of each input of the graph, with their steps."""
    if not options.inputs:
        if len(names) > 1:
            raise DataError(f"the graph has several inputs: say in 'inputs' which columns {listed(names)} read")
        return (encoded(fitted, standardize=options.standardize),)
    if set(options.inputs) != set(names):
        raise DataError(f"'inputs' names {listed(options.inputs)}; the graph reads {listed(names)}")
    by_name = {column.name: (column, encoding) for column, encoding in fitted}
    found = []
    for name in names:
        if missing := [column for column in options.inputs[name] if column not in by_name]:
            raise DataError(f"input '{name}' reads column '{missing[0]}', from which nothing can be learned")
        chosen = [by_name[column] for column in options.inputs[name]]
        found.append(encoded(chosen, standardize=options.standardize))
    return tuple(found)


def _described(inputs: Sequence[Encoded], names: Sequence[str]) -> list[str]:
    """Sentences on the kinds of the columns, and the features that they become."""
    found = []
    for name, part in zip(names, inputs, strict=True):
        kinds: dict[str, list[str]] = {}
        for column in part.columns:
            kinds.setdefault(column.kind, []).append(column.name)
        told = "; ".join(f"{kind}: {listed(columns)}" for kind, columns in kinds.items())
        found.append(f"input '{name}' reads {len(part.columns)} columns as {len(part.features)} features ({told})")
    return found


def check_named(names: Sequence[str], table: TableFile) -> None:
    """Checks that a table has columns of these names.

    Raises:
        DataError: naming the first that it has not.
    """
    for name in names:
        if name not in table.names:
            raise DataError(f"no column '{name}'{did_you_mean(name, table.names)}; columns: {listed(table.names)}")
