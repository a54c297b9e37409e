"""The random numbers of a process: torch's, those of the run's device, numpy's and Python's."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_state(device: torch.device) -> dict[str, Any]:
    """Where all global generators stand, as plain data and tensors."""
    return {
        "torch": torch.get_rng_state(),
        "device": None if device.type == "cpu" else _module(device).get_rng_state(device),
        "numpy": _numpy_state(),
        "python": random.getstate(),
    }


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Puts all global generators where they stood; that of the device only if there was one.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: if it is not such a state.
    """
    numpy_state = dict(state["numpy"])
    key, position = numpy_state.pop("key").numpy().astype(np.uint32), numpy_state.pop("pos")
    np.random.set_state({**numpy_state, "state": {"key": key, "pos": position}})
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    if state["device"] is not None and device.type != "cpu":
        _module(device).set_rng_state(state["device"], device)


def _numpy_state() -> dict[str, Any]:
    state: Any = np.random.get_state(legacy=False)
    inner = state.pop("state")
    return {**state, "key": torch.from_numpy(inner["key"].astype(np.int64)), "pos": int(inner["pos"])}


def _module(device: torch.device) -> Any:
    """``torch.cuda`` and its like."""
    return torch.get_device_module(device)
