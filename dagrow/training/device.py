"""Finds the device that a person asked for."""

from __future__ import annotations

import torch

from dagrow.errors import DagrowError


def find_device(name: str) -> torch.device:
    """The device, after a look whether it works.

    Raises:
        DagrowError: if torch does not know it, or it is not there.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).strip().splitlines()[0]
        raise DagrowError(f"device '{name}' cannot be used: {first}; 'cpu' always works, 'cuda' with a GPU") from error
    return device
