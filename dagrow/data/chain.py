"""Steps one after the other, as one function of a batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.data.step import PreprocessingStep
from dagrow.layout import Shape


@dataclass(frozen=True, eq=False)
class Chain:
    """Several steps.

    Attributes:
        steps: in their order, one or more.
    """

    steps: tuple[PreprocessingStep, ...]

    @classmethod
    def of(cls, steps: tuple[PreprocessingStep, ...]) -> Transform | None:
        """A single step as it is, None for none."""
        return cls(steps) if len(steps) > 1 else next(iter(steps), None)

    def __call__(self, x: Tensor) -> Tensor:
        """Converts a batch of raw values, on the device of the steps."""
        for step in self.steps:
            x = step(x)
        return x.float()

    def to(self, device: torch.device | str) -> Chain:
        """The same on another device."""
        return Chain(tuple(step.to(device) for step in self.steps))


Transform = PreprocessingStep | Chain
"""What is done to a batch."""


def shape_after(steps: tuple[PreprocessingStep, ...], shape: Shape) -> Shape:
    """Of one sample, when all steps are done."""
    for step in steps:
        shape = step.shape_after(shape)
    return tuple(shape)
