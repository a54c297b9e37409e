"""The numbers that a network computes with: those of the run file, and those of stored weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""By the names of run files."""


def dtype_of(weights: Mapping[str, Tensor]) -> torch.dtype:
    """The dtype of stored weights; float32 where there are none.

    Raises:
        ValueError: if it is none that a run computes with.
    """
    found = next((value.dtype for value in weights.values() if value.is_floating_point()), torch.float32)
    if found not in DTYPES.values():
        raise ValueError(f"weights are of {found}, not of {' or '.join(DTYPES)}")
    return found
