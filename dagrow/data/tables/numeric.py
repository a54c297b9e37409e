"""What columns of numbers have in common: cells to float64, and mean and deviation in one pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dagrow.data.tables.arrow import arrow, is_text
from dagrow.data.tables.column import Column, Encoding, Limits, Tally, Unusable, refuse_cell


def as_floats(cells: Any) -> np.ndarray:
    """Numbers of any arrow type as float64, NaN where there is none.

    They are a copy: who keeps a view of a batch keeps memory of arrow's that the next batches could use.
    """
    pa, compute = arrow(), arrow("compute")
    return np.array(compute.cast(cells, pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def parsed(column: str, cells: Any, row: int, parse: Callable[[Any], Any], what: str) -> Any:
    """What ``parse`` makes of text, or the first cell that it refuses.

    Raises:
        DataError: naming the cell, where ``parse`` raises an ``ArrowInvalid``.
    """
    invalid = arrow().ArrowInvalid
    try:
        return parse(cells)
    except invalid as error:
        for number in range(len(cells)):
            try:
                parse(cells.slice(number, 1))
            except invalid:
                raise refuse_cell(column, cells, row, number, what) from error
        raise


def number_cells(column: str, cells: Any, row: int) -> np.ndarray:
    """Cells of text or numbers as float64, NaN where there is none.

    Raises:
        DataError: if one is no finite number.
    """
    values = parsed(column, cells, row, as_floats, "a number") if is_text(cells) else as_floats(cells)
    with np.errstate(over="ignore"):
        infinite = np.isinf(values.astype(np.float32))
    if infinite.any():
        raise refuse_cell(column, cells, row, int(infinite.argmax()), "finite in float32")
    return values


@dataclass
class Moments:
    """Count, mean, sum of squares around it, least and largest of numbers, batch by batch; and how many were missing.

    Batches are merged by their means, so that no small variance is lost between two large sums (Chan et al., 1979).
    """

    count: int = 0
    missing: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    def add(self, values: np.ndarray) -> None:
        """Takes in numbers, NaN where there is none."""
        present = values[~np.isnan(values)]
        self.missing += len(values) - len(present)
        if not len(present):
            return
        mean, count = float(present.mean()), len(present)
        total, step = self.count + count, mean - self.mean
        self.squares += float(((present - mean) ** 2).sum()) + step**2 * self.count * count / total
        self.mean, self.count = self.mean + step * count / total, total
        self.low, self.high = min(self.low, float(present.min())), max(self.high, float(present.max()))

    @property
    def deviation(self) -> float:
        """Root mean square deviation; infinite where all are equal."""
        return float(np.sqrt(self.squares / self.count)) if self.high > self.low else np.inf


@dataclass
class NumberTally(Tally):
    """Moments of a column of numbers."""

    column: Column
    moments: Moments = field(default_factory=Moments)

    def add(self, cells: Any, rows: np.ndarray, first: int) -> None:
        """Takes in a batch."""
        self.moments.add(self.column.read(cells, first).codes[rows])

    def fitted(self, limits: Limits) -> tuple[Column, Encoding]:
        """A feature of mean 0 and deviation 1; a gap has the mean."""
        found = self.moments
        if found.count == 0:
            raise Unusable("it is empty in all training rows")
        if found.high == found.low and not found.missing:
            raise Unusable(f"it is {found.low:g} in all training rows")
        return self.column, Encoding(found.mean, found.missing > 0, (found.mean, found.deviation))


@dataclass
class UnscaledTally(NumberTally):
    """Of a column that is 0 or 1: it stays as it is."""

    def fitted(self, limits: Limits) -> tuple[Column, Encoding]:
        """A feature as it is; a gap has the mean."""
        column, encoding = super().fitted(limits)
        return column, replace(encoding, scale=(0.0, 1.0))
