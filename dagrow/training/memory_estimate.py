"""What does not fit into memory, in one sentence: before a run begins, and where it happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dagrow.errors import RunError, is_about_memory
from dagrow.files import machine_memory
from dagrow.graph import Dag, cost


def check_memory(dag: Dag, dtype: torch.dtype, device: torch.device) -> None:
    """Refuses a graph whose weights and gradients alone are more than the machine, or the device, has room for.

    Raises:
        RunError: with both figures.
    """
    count, there = cost(dag).parameters, _memory(device)
    needed = 2 * count * dtype.itemsize
    if there is not None and needed > there:
        raise RunError(
            f"the graph has {count} parameters: weights and gradients alone take {_gigabytes(needed)}, "
            f"and {'this machine' if device.type == 'cpu' else device} has {_gigabytes(there)} of memory"
        )


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turns memory that could not be had into a `RunError`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_about_memory(error):
            raise
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        told = f"the memory is used up: a smaller batch_size or a smaller graph takes less ({first})"
        raise RunError(told) from error


def _memory(device: torch.device) -> int | None:
    """Bytes that the device has in all; None where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    if device.type != "cpu":
        return None
    return machine_memory()


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.0f} GB" if count >= 1e10 else f"{count / 1e9:.1f} GB"
