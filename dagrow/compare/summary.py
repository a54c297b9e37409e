"""Rows of a comparison: means and standard deviations over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dagrow.compare.outcome import Outcome
from dagrow.compare.runs import ResultRow
from dagrow.report.ranks import rank_correlation


class Finished(NamedTuple):
    """A cell that came to its end."""

    row: ResultRow
    seed: int
    outcome: Outcome


class Spread(NamedTuple):
    """Mean and sample standard deviation; the latter None for a single value."""

    mean: float
    deviation: float | None


def spread(values: Sequence[float]) -> Spread:
    """Of one value or more."""
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class Summary:
    """One row over its seeds.

    Attributes:
        row: what was run.
        cells: its finished ones, one or more.
    """

    row: ResultRow
    cells: tuple[Finished, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those with which it came to its end."""
        return tuple(cell.seed for cell in self.cells)

    def over_seeds(self, value: Callable[[Outcome], float | None]) -> Spread | None:
        """Mean and deviation of something; None where a cell has none."""
        values = [value(cell.outcome) for cell in self.cells]
        known = [number for number in values if number is not None]
        return spread(known) if len(known) == len(values) else None

    @cached_property
    def rank_correlation(self) -> float | None:
        """Spearman's, between the gain that an insertion was chosen by and what it brought, over all seeds' steps."""
        return rank_correlation([pair for cell in self.cells for pair in cell.outcome.gains])
