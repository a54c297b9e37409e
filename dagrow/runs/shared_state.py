"""A run of several processes: how the first hands its state to the others."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from dagrow.journal.writer import JournalPosition
from dagrow.runs.checkpoint import FILES, Checkpoint, capture, restore
from dagrow.training.state import RunContext, RunState


def hand_over(task: RunContext, state: RunState) -> None:
    """Gives the state of the first process to the others, which call `take_over`."""
    files = capture(task.spec, "", JournalPosition(), state).files()
    for name in FILES:
        task.processes.copy_bytes(files[name])


def take_over(task: RunContext, device: torch.device) -> RunState:
    """The state that the first process hands over."""
    with TemporaryDirectory() as folder:
        for name in FILES:
            (Path(folder) / name).write_bytes(task.processes.copy_bytes())
        return restore(Checkpoint.read(Path(folder)), Path(folder), device)
