"""Sums over samples, and how many samples they are over."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dagrow.distributed import Processes
from dagrow.errors import DataError

_RECENT = 8
"""So many float32 values are summed as they are before they go into the float64 sum, to spare the memory."""


@dataclass
class Sums:
    """Named sums in float64 and a count of samples; two of them merge by adding.

    Nothing is divided before it is read, so a mean does not depend on the split into batches.
    """

    samples: int = 0
    _totals: dict[str, Tensor] = field(default_factory=dict)
    _recent: dict[str, tuple[Tensor, int]] = field(default_factory=dict)

    def add(self, name: str, value: Tensor) -> None:
        """Adds to the sum of that name."""
        recent, count = self._recent.get(name, (None, 0))
        self._recent[name] = (value if recent is None else recent + value, count + 1)
        if count + 1 >= _RECENT or value.dtype == torch.float64:
            self._settle(name)

    def buffer(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A tensor of that shape, dtype and device as ``like``, to add to in place; it counts as one addition."""
        recent, count = self._recent.get(name, (None, 0))
        if recent is not None and count >= _RECENT:
            self._settle(name)
            recent, count = None, 0
        if recent is None:
            recent = like.new_zeros(shape)
        self._recent[name] = (recent, count + 1)
        return recent

    def _settle(self, name: str) -> None:
        recent, _ = self._recent.pop(name, (None, 0))
        if recent is None:
            return
        if name in self._totals:
            self._totals[name] += recent
        else:
            self._totals[name] = recent.to(torch.float64, copy=True)

    def total(self, name: str) -> Tensor:
        """The sum of that name, float64."""
        self._settle(name)
        return self._totals[name]

    def count(self, samples: int) -> None:
        """Says that the sums now cover so many samples more."""
        self.samples += samples

    def merge(self, other: Sums) -> None:
        """Adds the sums over other samples."""
        for name in dict.fromkeys([*other._totals, *other._recent]):
            self.add(name, other.total(name))
        self.samples += other.samples

    def join(self, processes: Processes) -> None:
        """Adds what the other processes have summed up over their samples.

        Raises:
            DataError: if one of them has no samples.
        """
        counts = processes.numbers(self.samples)
        if min(counts) == 0 < max(counts):
            raise DataError(f"process {counts.index(0)} has no samples to take statistics of: use fewer processes")
        names = sorted({*self._totals, *self._recent})
        processes.add_up([self.total(name) for name in names])
        self.samples = sum(counts)

    def mean(self, name: str) -> Tensor:
        """The sum divided by the number of samples.

        Raises:
            DataError: if no sample was counted.
        """
        if self.samples == 0:
            raise DataError("there are no samples to take statistics of")
        return self.total(name) / self.samples

    def __contains__(self, name: str) -> bool:
        return name in self._totals or name in self._recent
