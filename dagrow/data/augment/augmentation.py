"""What a kind of augmentation has to provide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor


class Place(NamedTuple):
    """Which samples of a batch are changed: of a batch that several processes share, each has a part.

    Attributes:
        seed: of the batch.
        whole: samples of it.
        start: the first of this part.
    """

    seed: int
    whole: int
    start: int

    def generator(self, kind: int) -> torch.Generator:
        """Draws the same numbers in every process; each kind has numbers of its own."""
        return torch.Generator().manual_seed((self.seed + 7_919 * kind) % 2**63)


class Augmentation(ABC):
    """A random change of raw maps. A new kind is a class, a field of `AugmentSpec` and a line in `AUGMENTATIONS`."""

    @classmethod
    @abstractmethod
    def of(cls, value: Any) -> Self | None:
        """As the run file says in its field; None where it asks for none."""

    @abstractmethod
    def __call__(self, x: Tensor, axes: tuple[int, int], place: Place, kind: int) -> Tensor:
        """Changes each sample by itself.

        Args:
            x: raw maps ``[samples, ...]``, of any number format.
            axes: of height and width in ``x``.
            place: where they are in their batch.
            kind: number of this augmentation.
        """
