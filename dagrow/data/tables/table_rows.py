"""Rows of a table as raw values, read from their file when they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dagrow.data.stored import SampleStore
from dagrow.data.tables.column import Column
from dagrow.data.tables.table_file import TableFile
from dagrow.layout import Shape


@dataclass(frozen=True, eq=False)
class TableRows(SampleStore):
    """Samples of some columns. A file cannot be entered in the middle: any reading goes through all of it.

    Attributes:
        table: the file.
        columns: to read, in the order of the values of a sample.
        rows: ``[samples]``, which row of the file each is.
        count: rows of the file.
    """

    table: TableFile
    columns: tuple[Column, ...]
    rows: np.ndarray
    count: int

    @property
    def shape(self) -> Shape:
        """``[samples, columns]``."""
        return len(self.rows), len(self.columns)

    @property
    def dtype(self) -> torch.dtype:
        """Float64."""
        return torch.float64

    @property
    def settles(self) -> bool:
        """They do."""
        return True

    def read(self, index: Tensor) -> Tensor:
        """Some samples, from a pass through the file."""
        found = torch.empty((len(index), len(self.columns)), dtype=torch.float64)
        for places, values in self.parts(index):
            found[places] = values
        return found

    def parts(self, index: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The samples in the order of the file."""
        places = np.full(self.count, -1, dtype=np.int64)
        places[self.rows[index.numpy()]] = np.arange(len(index))
        start = 0
        for batch in self.table.batches({column.name for column in self.columns}):
            values = [column.read(batch[column.name], start + 1).codes for column in self.columns]
            here = places[start : start + len(values[0])]
            start += len(values[0])
            if (wanted := here >= 0).any():
                yield torch.from_numpy(here[wanted]), torch.from_numpy(np.stack(values, 1)[wanted])
