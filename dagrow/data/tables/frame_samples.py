"""Inputs that a user has in Python as a table with gaps, words or dates: encoded as the table of a file is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dagrow.data.stored import StoredRows
from dagrow.data.tables.fitted_columns import FittedColumns, check_named, fit_columns
from dagrow.data.tables.frame_table import FrameTable
from dagrow.data.tables.scan_table import scan
from dagrow.data.tables.table_file import TextOptions
from dagrow.data.tables.table_reader import TableReader
from dagrow.spec.column_options import ColumnOptions


class FrameInputs:
    """The columns of a table as the inputs of a graph read them."""

    def __init__(
        self, frame: Any, options: ColumnOptions, inputs: Sequence[str], rows: np.ndarray | None = None
    ) -> None:
        """Fits the columns.

        Args:
            frame: of pandas, polars or pyarrow, or columns by their names.
            options: what a person says of the columns.
            inputs: names of the inputs of the graph.
            rows: those to fit on; all if left out.

        Raises:
            DataError: if no table can be made of it, or nothing learned from it.
        """
        self.table = FrameTable.of(frame)
        check_named(options.named, self.table)
        seen = scan(self.table, options)
        chosen = np.arange(seen.rows) if rows is None else rows
        fitted = fit_columns(self.table, seen.columns, seen.rows, chosen, options, inputs, seen.notes)
        self.fitted: FittedColumns = fitted
        self.notes = (*seen.notes, *fitted.notes)

    @property
    def reader(self) -> TableReader:
        """Of further tables like this one, in memory or in a file."""
        return self.fitted.reader(self.table, TextOptions())

    def stored(self, rows: np.ndarray | None = None) -> tuple[StoredRows, ...]:
        """The raw values of some rows for each input; of all where none are named."""
        chosen = np.arange(self.table.count) if rows is None else rows
        return self.fitted.stored(self.table, chosen, self.table.count)

    def other(self, frame: Any) -> tuple[StoredRows, ...]:
        """The raw values of another table with the same columns.

        Raises:
            DataError: if columns are missing.
        """
        table = FrameTable.of(frame)
        check_named(self.fitted.names, table)
        return self.fitted.stored(table, np.arange(table.count), table.count)
