"""Whether samples are tokens of a vocabulary."""

from __future__ import annotations

import torch

from dagrow.data.stored import Stored, each_part
from dagrow.errors import DataError


def check_tokens(x: Stored, name: str, count: int, said_by: str) -> None:
    """Goes through samples once.

    Args:
        x: of one input.
        name: of the input.
        count: how many tokens there are.
        said_by: what says so, for the message.

    Raises:
        DataError: if they are no whole numbers from 0 to ``count - 1``.
    """
    low, high = torch.inf, -torch.inf
    for _, part in each_part(x):
        if not torch.equal(part, part.round() if part.is_floating_point() else part):
            raise DataError(f"input '{name}': tokens are whole numbers")
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    if low < 0 or high >= count:
        raise DataError(f"input '{name}': tokens run from {low:g} to {high:g}, {said_by} has room for 0 to {count - 1}")
