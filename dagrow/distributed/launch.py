"""Joins the processes that ``torchrun`` has started."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from dagrow.distributed.group import GO_ON, Group, ProcessError
from dagrow.distributed.processes import ALONE, Processes

SECONDS = 600.0
"""How long a process waits for the others."""

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextmanager
def joined(device: str, seconds: float = SECONDS) -> Iterator[tuple[Processes, str]]:
    """All processes of this run, as long as the context lasts, and the device of this one.

    Without the environment that ``torchrun`` makes, or with one process in it, there is no group. Where the caller has
    made the default group of ``torch.distributed`` already, that is the one, and it stays.

    Args:
        device: as torch names it; ``cuda`` without a number is the GPU of this process's own number on its machine.
        seconds: after so long without an answer, another process counts as lost.

    Raises:
        ProcessError: if the others cannot be reached.
    """
    if dist.is_available() and dist.is_initialized():
        yield (Group(torch.device(device)) if dist.get_world_size() > 1 else ALONE), device
        return
    environment = os.environ
    if not all(name in environment for name in _VARIABLES) or environment["WORLD_SIZE"] == "1":
        yield ALONE, device
        return
    backend = "nccl" if device.startswith("cuda") else "gloo"
    if device == "cuda":
        device = f"cuda:{environment.get('LOCAL_RANK', '0')}"
    if backend == "nccl":
        torch.cuda.set_device(device)
    rank, count = environment["RANK"], environment["WORLD_SIZE"]
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=seconds))
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ProcessError(f"process {rank} of {count} cannot reach the others ({first})") from error
    with _told_to_end(f"process {rank} of {count}"):
        yield Group(torch.device(device)), device
    # Not after an error: a lost process would be waited for.
    dist.destroy_process_group()


@contextmanager
def _told_to_end(name: str) -> Iterator[None]:
    """Within it, a launcher that ends this process, since another one is lost, is answered with a sentence."""

    def end(*_: object) -> None:
        raise ProcessError(f"{name} ends: its launcher ended it, perhaps because another one is lost; {GO_ON}")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
