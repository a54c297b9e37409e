"""Tables that a network is asked about: columns by name, categories as in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from dagrow.data.file_reader import FileReader, Rows
from dagrow.data.frames import check_columns
from dagrow.data.tables.column import Column, Read
from dagrow.data.tables.columns import column_entry, column_of
from dagrow.data.tables.formats import FORMATS, open_table
from dagrow.data.tables.frame_table import FrameTable
from dagrow.data.tables.table_file import TableFile, TextOptions
from dagrow.errors import DataError
from dagrow.layout import Shape


@dataclass(frozen=True)
class TableReader(FileReader):
    """Knows the columns of each input.

    Attributes:
        columns: of each input of the graph.
        known: names of further columns that may be there, and are not read.
        options: how text files were read.
        gaps: names of columns in which training rows had empty cells.
    """

    kind: ClassVar[str] = "table"
    endings: ClassVar[tuple[str, ...]] = tuple(FORMATS)

    columns: tuple[tuple[Column, ...], ...]
    known: tuple[str, ...] = ()
    options: TextOptions = field(default_factory=TextOptions)
    gaps: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        """Whatever holds a table."""
        return Path(path).suffix.lower() in self.endings

    def read(self, path: str, shapes: tuple[Shape, ...]) -> Rows:
        """The rows of a table; columns are found by their names, and the target may be there."""
        return self._rows(open_table(path, self.options))

    def read_frame(self, frame: Any) -> Rows:
        """The rows of a table in memory, likewise."""
        return self._rows(FrameTable.of(frame))

    def _rows(self, table: TableFile) -> Rows:
        wanted = [column for columns in self.columns for column in columns]
        check_columns([column.name for column in wanted], table.names)
        parts: list[list[np.ndarray]] = [[] for _ in wanted]
        tellers = [_Teller(column) for column in wanted]
        row = 1
        for batch in table.batches({column.name for column in wanted}):
            for column, part, teller in zip(wanted, parts, tellers, strict=True):
                part.append(teller.told(column.read(batch[column.name], row)))
            row += len(next(iter(batch.values())))
        if row == 1:
            raise DataError("the table has a header but no samples")
        values = iter(np.concatenate(part) for part in parts)
        inputs = tuple(torch.from_numpy(np.stack([next(values) for _ in own], 1)) for own in self.columns)
        unknown = tuple(name for name in table.names if name not in {c.name for c in wanted} | {*self.known})
        notes = [note for teller in tellers for note in teller.notes(self.gaps)]
        return Rows(inputs, unknown, notes=(*table.notes, *notes))

    @property
    def told(self) -> str:
        """How cells become numbers."""
        return (
            "They are the columns listed in preprocessing.json: a category is its place in the list of its column, "
            "counted from 0 (any other number stands for another one), a date is seconds since 1970, true is 1, "
            "false 0, and NaN is an empty cell."
        )

    def entry(self) -> dict[str, Any]:
        """Columns, and how text is read."""
        return {
            "columns": [[column_entry(column) for column in columns] for columns in self.columns],
            "gaps": list(self.gaps),
            "known": list(self.known),
            "separator": self.options.separator,
            "encoding": self.options.encoding,
            "decimal": self.options.decimal,
            "missing": list(self.options.missing),
        }

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], shapes: tuple[Shape, ...]) -> TableReader:
        """From what `entry` gave."""
        columns = tuple(tuple(map(column_of, part)) for part in entry["columns"])
        if [(len(part),) for part in columns] != list(shapes):
            raise ValueError("the inputs read other numbers of columns")
        separator, encoding, decimal = (entry[name] for name in ("separator", "encoding", "decimal"))
        if not all(value is None or isinstance(value, str) for value in (separator, encoding, decimal)):
            raise TypeError("separator, encoding and decimal are text, or null")
        options = TextOptions(separator, encoding, decimal, _names(entry["missing"]))
        return cls(columns, _names(entry["known"]), options, _names(entry["gaps"]))


@dataclass
class _Teller:
    """Counts what a person should know of how a column was read."""

    column: Column
    unseen: str | None = None
    unseen_count: int = 0
    empty: int = 0

    def told(self, read: Read) -> np.ndarray:
        self.unseen = read.unseen if self.unseen is None else self.unseen
        self.unseen_count += read.unseen_count
        self.empty += int(np.isnan(read.codes).sum())
        return read.codes

    def notes(self, gaps: Sequence[str]) -> list[str]:
        name, found = self.column.name, []
        if self.unseen is not None:
            found.append(
                f"column '{name}': {_rows(self.unseen_count)} a category that training rarely or never saw "
                f"(the first: {self.unseen[:40]!r}), which is read as 'other'"
            )
        if self.empty and name not in gaps:
            found.append(f"column '{name}': {_rows(self.empty)} an empty cell; in training there was none")
        return found


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count} rows have"


def _names(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a list of names is needed")
    return tuple(values)
