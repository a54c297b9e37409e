"""Dates and times: seconds since 1970, and how far they are in the day, the week and the year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from dagrow.data.tables.arrow import arrow, as_text, is_text
from dagrow.data.tables.column import Column, Encoding, Limits, Read, Tally
from dagrow.data.tables.numeric import NumberTally, parsed
from dagrow.errors import DataError

DAY = 86_400.0
_PERIODS = {"day": DAY, "week": 7 * DAY, "year": 365.2425 * DAY}
_COSINE_AND_SINE = (0.0, -0.25)


@dataclass(frozen=True)
class DateColumn(Column):
    """A column of dates or times. Those without a time zone are taken as they stand, others by their UTC.

    Attributes:
        format: of text, as ``strptime`` reads it; empty for 2024-12-31, with a time or not.
    """

    kind: ClassVar[str] = "date"

    format: str = ""

    def read(self, cells: Any, row: int) -> Read:
        """Seconds since the start of 1970."""
        if is_text(cells):
            what = f"a date of the form {self.format}" if self.format else "a date like 2024-12-31"
            times = parsed(self.name, as_text(cells), row, self._times, what)
        else:
            times = _typed_times(self.name, cells)
        return Read(_seconds(times))

    def tally(self) -> Tally:
        """Their moments, and whether they have times of a day."""
        return DateTally(self)

    def entry(self) -> dict[str, Any]:
        """The format of text."""
        return {"format": self.format}

    @classmethod
    def from_entry(cls, name: str, entry: Mapping[str, Any]) -> DateColumn:
        """From what `entry` gave."""
        return cls(name, str(entry["format"]))

    def _times(self, text: Any) -> Any:
        compute = arrow("compute")
        if self.format:
            return compute.strptime(text, format=self.format, unit="s")
        return iso_times(text)


def iso_times(text: Any) -> Any:
    """Text like 2024-12-31, 2024-12-31 23:59:59 or 2024-12-31T23:59:59.5Z as times.

    Raises:
        ArrowInvalid: if one is of another form.
    """
    pa, compute = arrow(), arrow("compute")
    try:
        return compute.cast(text, pa.timestamp("us"))
    except pa.ArrowInvalid:
        return compute.cast(text, pa.timestamp("us", tz="UTC"))


def _typed_times(name: str, cells: Any) -> Any:
    pa, compute = arrow(), arrow("compute")
    if not (pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type)):
        raise DataError(f"column '{name}' holds {cells.type}, not dates")
    zone = cells.type.tz if pa.types.is_timestamp(cells.type) else None
    return compute.cast(cells, pa.timestamp("us", tz=zone), safe=False)


def _seconds(times: Any) -> np.ndarray:
    pa, compute = arrow(), arrow("compute")
    unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[times.type.unit]
    whole = compute.cast(compute.cast(times, pa.int64()), pa.float64(), safe=False)
    found: np.ndarray = whole.to_numpy(zero_copy_only=False) / unit
    return found


@dataclass
class DateTally(NumberTally):
    """Moments of a column of dates."""

    times: bool = False

    def add(self, cells: Any, rows: np.ndarray, first: int) -> None:
        """Takes in a batch."""
        seconds = self.column.read(cells, first).codes[rows]
        self.moments.add(seconds)
        self.times = self.times or bool((seconds[~np.isnan(seconds)] % DAY != 0).any())

    def fitted(self, limits: Limits) -> tuple[Column, Encoding]:
        """A number, and sine and cosine of each period that the training rows span; of the day if there are times."""
        column, encoding = super().fitted(limits)
        span = self.moments.high - self.moments.low
        named = {name: period for name, period in _PERIODS.items() if span >= period and (name != "day" or self.times)}
        cycles = tuple((period, start) for period in named.values() for start in _COSINE_AND_SINE)
        names = tuple(f"{column.name}_{part}_of_{name}" for name in named for part in ("cosine", "sine"))
        return column, replace(encoding, cycles=cycles, names=names)
