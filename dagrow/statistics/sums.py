"""Sums over samples, and how many samples they are over."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dagrow.errors import DataError


@dataclass
class Sums:
    """Named sums in float64 and a count of samples; two of them merge by adding.

    Nothing is divided before it is read, so a mean does not depend on the split into batches.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    samples: int = 0

    def add(self, name: str, value: Tensor) -> None:
        """Adds to the sum of that name."""
        if name in self.values:
            self.values[name] += value
        else:
            self.values[name] = value.to(torch.float64, copy=True)

    def count(self, samples: int) -> None:
        """Says that the sums now cover so many samples more."""
        self.samples += samples

    def merge(self, other: Sums) -> None:
        """Adds the sums over other samples."""
        for name, value in other.values.items():
            self.add(name, value)
        self.samples += other.samples

    def mean(self, name: str) -> Tensor:
        """The sum divided by the number of samples.

        Raises:
            DataError: if no sample was counted.
        """
        if self.samples == 0:
            raise DataError("there are no samples to take statistics of")
        return self.values[name] / self.samples

    def __contains__(self, name: str) -> bool:
        return name in self.values
