"""One step of the preprocessing of an input: fitted on training data, applied with torch, written into exports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from dagrow.layout import Shape


class PreprocessingStep(ABC):
    """A fixed function of the values of one input, each sample by itself. Its answer may have another shape.

    What it knows is in `buffers`. `compute` and `source` are the same formula, in torch and as Python text: an export
    holds the buffers beside the weights, and computes what training did.
    """

    kind: ClassVar[str]
    """Its name in ``preprocessing.json``."""

    @property
    @abstractmethod
    def buffers(self) -> dict[str, Tensor]:
        """The fitted values, by name."""

    @staticmethod
    @abstractmethod
    def compute(x: Tensor, buffers: Mapping[str, Tensor]) -> Tensor:
        """Converts a batch ``[samples, ...]`` of any number format; the answer is float32 where it is the last step."""

    @abstractmethod
    def source(self, x: str, names: Mapping[str, str]) -> tuple[str, ...]:
        """`compute` as Python expressions, each of which becomes the value of ``x`` for the next.

        Args:
            x: the name of the batch.
            names: expression of each buffer, by its name.
        """

    @abstractmethod
    def invert(self, x: Tensor) -> Tensor:
        """Values that the step turns into about ``x``; exports are checked on such."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""

    @abstractmethod
    def entry(self) -> dict[str, Any]:
        """As JSON takes it, without `kind`."""

    @classmethod
    @abstractmethod
    def from_entry(cls, entry: Mapping[str, Any], shape: Shape) -> Self:
        """From what `entry` gave.

        Args:
            entry: as read.
            shape: of one sample.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: if it is not of that form, or does not fit the shape.
        """

    @property
    def reads(self) -> torch.dtype:
        """Number format of raw values in which nothing is lost."""
        return torch.float64

    def shape_after(self, shape: Shape) -> Shape:
        """Of one sample behind the step, of this shape before it."""
        return shape

    def __call__(self, x: Tensor) -> Tensor:
        """Converts a batch."""
        return self.compute(x, self.buffers)
