"""Moved maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dagrow.data.augment.augmentation import Augmentation, Place


@dataclass(frozen=True)
class Shift(Augmentation):
    """Each sample is moved by up to so many pixels along both axes; zeros come in from behind.

    Attributes:
        most: pixels.
    """

    most: int

    @classmethod
    def of(cls, value: Any) -> Shift | None:
        """From the field ``shift``."""
        return cls(value) if value else None

    def __call__(self, x: Tensor, axes: tuple[int, int], place: Place, kind: int) -> Tensor:
        """Moves them."""
        steps = torch.randint(-self.most, self.most + 1, (2, place.whole), generator=place.generator(kind))
        steps = steps[:, place.start : place.start + len(x)].to(x.device)
        for axis, step in zip(axes, steps, strict=True):
            size = x.shape[axis]
            source = torch.arange(size, device=x.device) - step[:, None]
            inside = (source >= 0) & (source < size)
            form = [len(x), *(size if other == axis else 1 for other in range(1, x.dim()))]
            index = source.clamp(0, size - 1).reshape(form).expand(x.shape)
            x = x.gather(axis, index) * inside.reshape(form).to(x.dtype)
        return x
