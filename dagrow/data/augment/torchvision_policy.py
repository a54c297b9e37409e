"""Policies of torchvision, where it is installed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dagrow.data.augment.augmentation import Augmentation, Place
from dagrow.errors import DataError


@dataclass(frozen=True)
class TorchvisionPolicy(Augmentation):
    """A policy that changes one image at a time.

    Attributes:
        change: of ``torchvision.transforms.v2``.
    """

    change: Any

    @classmethod
    def of(cls, value: Any) -> TorchvisionPolicy | None:
        """From the field ``torchvision``.

        Raises:
            DataError: if it is not installed.
        """
        if value is None:
            return None
        try:
            library = importlib.import_module("torchvision.transforms.v2")
        except ImportError as error:
            raise DataError(f"augment: '{value}' needs 'torchvision': pip install torchvision") from error
        return cls(getattr(library, value)())

    def __call__(self, x: Tensor, axes: tuple[int, int], place: Place, kind: int) -> Tensor:
        """Changes images of bytes, channels first or last; it draws from torch's numbers, which are put back."""
        if x.dtype != torch.uint8:
            raise DataError(f"augment: policies of torchvision take bytes (uint8), these are {x.dtype}")
        last = axes == (1, 2)
        maps = x.movedim(-1, 1) if last else x
        changed = []
        with torch.random.fork_rng(devices=[]):
            for number, image in enumerate(maps, start=place.start):
                torch.default_generator.manual_seed((place.seed + 7_919 * kind + number) % 2**63)
                changed.append(self.change(image))
        found = torch.stack(changed)
        return found.movedim(1, -1) if last else found
