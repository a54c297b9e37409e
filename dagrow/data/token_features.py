"""Whole numbers that name something, such as tokens: a vector with a 1 at that place for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from dagrow.data.step import PreprocessingStep
from dagrow.layout import Shape


@dataclass(frozen=True, eq=False)
class TokenFeatures(PreprocessingStep):
    """``[..., positions]`` of whole numbers to ``[..., positions, vocabulary]``; the first layer is an embedding then.

    A number outside of the vocabulary becomes a vector of zeros.

    Attributes:
        tokens: ``[vocabulary]`` int64, the numbers 0, 1, ...
    """

    kind: ClassVar[str] = "tokens"

    tokens: Tensor

    @classmethod
    def of(cls, vocabulary: int) -> TokenFeatures:
        """Of so many numbers."""
        return cls(torch.arange(vocabulary))

    @property
    def buffers(self) -> dict[str, Tensor]:
        """The numbers."""
        return {"tokens": self.tokens}

    @staticmethod
    def compute(x: Tensor, buffers: Mapping[str, Tensor]) -> Tensor:
        """Converts a batch."""
        return (x.unsqueeze(-1) == buffers["tokens"]).float()

    def source(self, x: str, names: Mapping[str, str]) -> tuple[str, ...]:
        """The same as text."""
        return (f"({x}.unsqueeze(-1) == {names['tokens']}).float()",)

    def invert(self, x: Tensor) -> Tensor:
        """The number of the largest feature."""
        return x.argmax(-1)

    @property
    def reads(self) -> torch.dtype:
        """Whole numbers."""
        return torch.int64

    def to(self, device: torch.device | str) -> TokenFeatures:
        """The same on another device."""
        return TokenFeatures(self.tokens.to(device))

    def shape_after(self, shape: Shape) -> Shape:
        """With the vocabulary as its last axis."""
        return (*shape, len(self.tokens))

    def entry(self) -> dict[str, Any]:
        """The size of the vocabulary."""
        return {"vocabulary": len(self.tokens)}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], shape: Shape) -> TokenFeatures:
        """From what `entry` gave."""
        vocabulary = entry["vocabulary"]
        if not isinstance(vocabulary, int) or not 1 <= vocabulary <= 1_000_000:
            raise ValueError("a vocabulary has 1 to 1000000 entries")
        return cls.of(vocabulary)
