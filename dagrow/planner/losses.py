"""Mean losses, and how sure a gain is that a few samples show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dagrow.distributed import Processes

PARTS = 12
"""Of the held-out samples, by which the standard error of a gain is known."""


class Mean:
    """A mean over samples from means over batches."""

    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0.0

    def add(self, mean: float, count: float) -> None:
        """Adds the mean of a batch of so many samples, or of that weight.

        The mean of no samples is no number, and counts for nothing.
        """
        if count == 0:
            return
        self.sum += mean * count
        self.count += count

    @property
    def value(self) -> float:
        """The mean so far, NaN before the first sample."""
        return self.sum / self.count if self.count else math.nan


def join_means(means: Sequence[Mean], processes: Processes) -> None:
    """Adds to each mean what the other processes have."""
    found = processes.sums(*(number for mean in means for number in (mean.sum, mean.count)))
    for mean, total, count in zip(means, found[::2], found[1::2], strict=True):
        mean.sum, mean.count = total, count


@dataclass(frozen=True)
class Measured:
    """Mean losses.

    Attributes:
        everywhere: over all samples.
        held_out: over the held-out ones; NaN where none are held out.
        error: standard error of the held-out gain; 0 where the samples are too few to know.
    """

    everywhere: float
    held_out: float
    error: float = 0.0


class Losses:
    """Losses over all samples, and over each part of the held-out ones."""

    def __init__(self) -> None:
        self.everywhere, self.parts = Mean(), [Mean() for _ in range(PARTS)]

    @property
    def means(self) -> tuple[Mean, ...]:
        """All of them."""
        return (self.everywhere, *self.parts)

    def measured(self, start: Losses) -> Measured:
        """The means, and the error of the gain over ``start``: parts are independent samples of it."""
        counts = [part.count for part in self.parts if part.count]
        gains = [a.sum - b.sum for a, b in zip(start.parts, self.parts, strict=True) if b.count]
        total, whole = sum(counts), sum(part.sum for part in self.parts)
        if len(counts) < PARTS / 2:
            return Measured(self.everywhere.value, whole / total if total else math.nan)
        each = sum(gains) / total
        spread = sum((gain - each * count) ** 2 for gain, count in zip(gains, counts, strict=True))
        error = (spread * len(counts) / (len(counts) - 1)) ** 0.5 / total
        return Measured(self.everywhere.value, whole / total, error)
