"""Mirrored maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dagrow.data.augment.augmentation import Augmentation, Place

_AXES = {"vertical": (0,), "horizontal": (1,), "both": (0, 1)}


@dataclass(frozen=True)
class Flip(Augmentation):
    """Half of the samples are mirrored, along each axis by itself.

    Attributes:
        along: 0 swaps top and bottom, 1 left and right.
    """

    along: tuple[int, ...]

    @classmethod
    def of(cls, value: Any) -> Flip | None:
        """From the field ``flip``."""
        return None if value is None else cls(_AXES[value])

    def __call__(self, x: Tensor, axes: tuple[int, int], place: Place, kind: int) -> Tensor:
        """Mirrors them."""
        drawn = torch.rand((2, place.whole), generator=place.generator(kind)) < 0.5
        for along in self.along:
            chosen = drawn[along, place.start : place.start + len(x)].to(x.device)
            x = torch.where(chosen.reshape(-1, *[1] * (x.dim() - 1)), x.flip(axes[along]), x)
        return x
