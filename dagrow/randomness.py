"""The global random numbers of a process belong to whoever called: what dagrow draws and seeds leaves no trace."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def torch_random_numbers_kept() -> Iterator[None]:
    """Whatever is drawn or seeded inside, torch's global generators, of all devices, are afterwards as before."""
    cpu, seed, devices = torch.get_rng_state(), torch.initial_seed(), _devices()
    states = devices.get_rng_state_all() if devices is not None and devices.is_initialized() else None
    try:
        yield
    finally:
        if devices is not None and states is not None:
            devices.set_rng_state_all(states)
        elif devices is not None:
            # Not used yet when this began: `torch.manual_seed` had named the seed that they would start with.
            devices.manual_seed_all(seed)
        torch.set_rng_state(cpu)


def seed_torch(seed: int) -> None:
    """Seeds torch's global generators, as ``torch.manual_seed`` does.

    Where torch sees no accelerator, that keeps the calls for later, with the stack that made each: some milliseconds,
    and memory that nobody frees, for every seed.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """The same for torch's, numpy's and Python's."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        with torch_random_numbers_kept():
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


def _devices() -> Any:
    """The module of the accelerator that torch sees, ``torch.cuda`` or its like; None without generators there."""
    if not torch.accelerator.is_available():
        return None
    found = torch.get_device_module(torch.accelerator.current_accelerator())
    return found if hasattr(found, "get_rng_state_all") and hasattr(found, "is_initialized") else None
