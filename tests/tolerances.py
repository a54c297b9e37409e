"""What rounding may make of numbers: tolerances that follow the number format and the size of the values.

No two processors, numbers of threads or shapes of a product add up in the same order. So what is computed twice is
compared up to some multiple of the format's resolution, relative to the largest value that enters.
"""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

Outputs = Tensor | Sequence[Tensor]

FORWARD = 64
"""Resolutions that one computation of some layers may be off: sums of tens to hundreds of products."""
SOLVED = 4096
"""The same for what was solved for, or measured after a search: factorisations multiply the error."""


def rounding(dtype: torch.dtype, size: float = 1.0, times: float = FORWARD) -> float:
    """How far values of a size may be off.

    Args:
        dtype: that they are computed in.
        size: of the largest of them, or of what they are the difference of.
        times: the format's resolution.
    """
    return times * torch.finfo(dtype).eps * size


def size_of(values: Outputs) -> float:
    """The largest absolute value."""
    parts = [values] if isinstance(values, Tensor) else values
    return max((float(part.detach().abs().max()) for part in parts if part.numel()), default=0.0)


def assert_same_function(found: Outputs, expected: Outputs, times: float = FORWARD) -> None:
    """Values of one function that was computed in two ways, each in the coarser of its two formats.

    Args:
        found: the one output, or several.
        expected: the others, of the same shapes.
        times: the format's resolution, relative to the largest value of an output.
    """
    several = [(part,) if isinstance(part, Tensor) else part for part in (found, expected)]
    for one, other in zip(*several, strict=True):
        coarser = max((one.dtype, other.dtype), key=lambda dtype: torch.finfo(dtype).eps)
        allowed = rounding(coarser, size_of(other), times)
        torch.testing.assert_close(one, other, rtol=0, atol=allowed, check_dtype=False)


def gained(gain: float, loss: float, dtype: torch.dtype = torch.float32, times: float = FORWARD) -> object:
    """A difference of two losses: rounded in the size of the losses, not in its own."""
    return pytest.approx(gain, rel=rounding(dtype, 1.0, times), abs=rounding(dtype, abs(loss), times))
