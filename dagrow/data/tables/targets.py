"""The columns to learn: labels with names, or numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dagrow.data.tables.arrow import arrow, as_text
from dagrow.data.tables.numeric import number_cells
from dagrow.errors import DataError, listed
from dagrow.objectives import Loss

_MOST = 100_000


@dataclass
class Labels:
    """The values of a column by numbers in the order in which they come, ``-1`` where there is none.

    Attributes:
        name: of the column.
        values: different ones.
        parts: their numbers, batch by batch.
    """

    name: str
    values: dict[str, int] = field(default_factory=dict)
    parts: list[np.ndarray] = field(default_factory=list)

    def add(self, cells: Any, row: int) -> None:
        """Takes in a batch.

        Raises:
            DataError: if there are too many different values.
        """
        found = arrow("compute").dictionary_encode(as_text(cells))
        own = [self.values.setdefault(value, len(self.values)) for value in found.dictionary.to_pylist()]
        if len(self.values) > _MOST:
            raise DataError(f"column '{self.name}' has more than {_MOST} different values")
        index = found.indices.fill_null(len(own)).to_numpy(zero_copy_only=False)
        self.parts.append(np.array([*own, -1], dtype=np.int32)[index])

    def numbered(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """The numbers of the values in their order, -1 where there is none: of numbers by size, of words by letter."""
        values = list(self.values)
        order = sorted(values, key=float) if all(map(_is_number, values)) else sorted(values)
        places = np.empty(len(values) + 1, dtype=np.int64)
        places[[self.values[value] for value in order]] = np.arange(len(order))
        places[-1] = -1
        parts = self.parts or [np.zeros(0, dtype=np.int32)]
        return places[np.concatenate(parts)], tuple(order)


@dataclass
class Numbers:
    """The values of a column as numbers, NaN where there is none.

    Attributes:
        name: of the column.
        parts: batch by batch.
    """

    name: str
    parts: list[np.ndarray] = field(default_factory=list)

    def add(self, cells: Any, row: int) -> None:
        """Takes in a batch.

        Raises:
            DataError: naming the first cell that is no number.
        """
        try:
            self.parts.append(number_cells(self.name, cells, row))
        except DataError as error:
            raise DataError(f"{error}; this loss learns numbers (text labels need cross_entropy)") from error

    def all(self) -> np.ndarray:
        """All of them."""
        return np.concatenate(self.parts or [np.zeros(0)])


@dataclass(frozen=True, eq=False)
class Learned:
    """One column to learn.

    Attributes:
        values: ``[rows]``, of labels int64, -1 where a cell is empty; of numbers float64, NaN there.
        classes: names of the labels; empty for numbers.
    """

    values: np.ndarray
    classes: tuple[str, ...] = ()

    @property
    def there(self) -> np.ndarray:
        """``[rows]`` bool, where the cell is not empty."""
        return ~np.isnan(self.values) if self.values.dtype.kind == "f" else self.values >= 0


def collector(name: str, loss: Loss) -> Labels | Numbers:
    """What takes in the cells of a column for this loss."""
    return Numbers(name) if loss.correct is None else Labels(name)


def learned(collected: Labels | Numbers, loss: Loss) -> Learned:
    """The values of a column as this loss takes them.

    Raises:
        DataError: if it does not take such.
    """
    if isinstance(collected, Numbers):
        return Learned(collected.all())
    codes, names = collected.numbered()
    numeric = bool(names) and all(map(_is_number, names))
    if loss.takes == "labels":
        if numeric and any(float(name) != round(float(name)) for name in names):
            found = f"column '{collected.name}' has fractions"
            raise DataError(f"{found}; {loss.name} learns classes (regression? use mse)")
        return Learned(codes, names)
    if numeric:
        values = np.array([*map(float, names), np.nan])
        return Learned(values[codes])
    if len(names) > 2:
        raise DataError(f"column '{collected.name}' has {len(names)} values; {loss.name} learns yes or no")
    return Learned(codes, names)


def by_output(columns: list[Learned], names: tuple[str, ...], outputs: tuple[str, ...], loss: Loss) -> list[list[int]]:
    """Which columns each output learns.

    Raises:
        DataError: if that cannot be told.
    """
    each = [[number] for number in range(len(columns))]
    if len(outputs) == len(columns):
        return each
    if len(outputs) == 1 and loss.takes != "labels":
        return [list(range(len(columns)))]
    raise DataError(
        f"{len(names)} columns are to be learned ({listed(names)}), the graph has {len(outputs)} outputs "
        f"({listed(outputs)}): {'one output per column' if loss.takes == 'labels' else 'one for all, or one each'}"
    )


def target_tensor(columns: list[Learned], rows: np.ndarray) -> Tensor:
    """What one output learns: ``[rows]`` of one column, ``[rows, columns]`` of several."""
    found = [column.values[rows] for column in columns]
    return torch.from_numpy(found[0] if len(found) == 1 else np.stack(found, 1).astype(np.float64))


def _is_number(value: str) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except ValueError:
        return False
