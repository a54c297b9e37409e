"""A column of a table that the network reads: from cells to numbers, and what becomes of these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from dagrow.data.tables.arrow import as_text
from dagrow.errors import DataError


class Read(NamedTuple):
    """Cells as numbers.

    Attributes:
        codes: ``[rows]`` float64, NaN where a cell is empty.
        unseen: a value that training did not know, the first of them; None where there is none.
        unseen_count: rows that have such.
    """

    codes: np.ndarray
    unseen: str | None = None
    unseen_count: int = 0


@dataclass(frozen=True)
class Encoding:
    """What a column becomes, fitted on training rows.

    Attributes:
        fill: stands for an empty cell.
        gaps: whether training rows had empty cells, so that a feature tells them.
        scale: mean and deviation of a number that is a feature itself; None for categories.
        cycles: period and start of each cosine of it.
        codes: numbers that have a feature each.
        names: of these.
    """

    fill: float
    gaps: bool
    scale: tuple[float, float] | None = None
    cycles: tuple[tuple[float, float], ...] = ()
    codes: tuple[float, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column(ABC):
    """One column, of one kind.

    Attributes:
        name: in the header.
    """

    kind: ClassVar[str]
    """Its name in run files and in ``preprocessing.json``."""

    name: str

    @abstractmethod
    def read(self, cells: Any, row: int) -> Read:
        """Cells as numbers.

        Args:
            cells: an arrow array.
            row: number of the first, from 1, for messages.

        Raises:
            DataError: naming column and row, if a cell is of another kind.
        """

    @abstractmethod
    def tally(self) -> Tally:
        """What takes in training rows."""

    def entry(self) -> dict[str, Any]:
        """As JSON takes it, without kind and name."""
        return {}

    @classmethod
    def from_entry(cls, name: str, entry: Mapping[str, Any]) -> Self:
        """From what `entry` gave.

        Raises:
            KeyError, TypeError, ValueError: if it is not of that form.
        """
        return cls(name)


class Tally(ABC):
    """Statistics of one column over training rows."""

    @abstractmethod
    def add(self, cells: Any, rows: np.ndarray, first: int) -> None:
        """Takes in a batch.

        Args:
            cells: an arrow array.
            rows: ``[cells]`` bool, which are training rows.
            first: number of the first cell, from 1.
        """

    @abstractmethod
    def fitted(self, limits: Limits) -> tuple[Column, Encoding]:
        """The column with what it has learned, and what becomes of it.

        Raises:
            Unusable: if nothing can be learned from it.
        """


class Limits(NamedTuple):
    """Which categories are told apart.

    Attributes:
        most: of a column.
        fewest: training rows of one.
    """

    most: int
    fewest: int


class Unusable(Exception):
    """A column that has one value in all training rows; its text says so."""


def refuse_cell(column: str, cells: Any, row: int, number: int, what: str) -> DataError:
    """The error for one cell: its row counts from 1, behind the header."""
    shown = str(as_text(cells.slice(number, 1))[0].as_py())[:40]
    return DataError(f"row {row + number}, column '{column}': {shown!r} is not {what}")
