"""A source of data: noisy series with one, two or three waves, which begin anywhere."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field

import dagrow
from dagrow.data import Arrays, Raw, ReadSettings
from dagrow.objectives import Loss


@dagrow.register_source
class Waves(dagrow.DataSource):
    """Series ``[1, length]``; to be told is the number of waves: classes 0, 1 and 2."""

    name: ClassVar[str] = "waves"

    samples: int = Field(default=300, ge=6, le=10**6, description="how many series")
    length: int = Field(default=24, ge=8, le=10**4, description="values of a series")
    noise: float = Field(default=0.3, ge=0.0, le=10.0, description="deviation of what is added to each value")
    seed: int = Field(default=0, ge=0, lt=2**63, description="of all that is drawn")

    def read(self, dag: dagrow.Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """Draws all series; dagrow splits them, and checks that they fit the graph."""
        generator = torch.Generator().manual_seed(self.seed)
        labels = torch.arange(self.samples) % 3
        phases = torch.rand(self.samples, 1, generator=generator)
        turns = (labels.unsqueeze(1) + 1) * torch.arange(self.length) / self.length + phases
        noise = self.noise * torch.randn(self.samples, self.length, generator=generator)
        series = torch.sin(2 * math.pi * turns) + noise
        return Raw(Arrays((series.unsqueeze(1),), (labels,)), classes=("one wave", "two waves", "three waves"))
