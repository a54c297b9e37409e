"""Weights & Biases: offline unless the user says otherwise; nothing leaves the machine by default."""

from __future__ import annotations

from typing import Any, ClassVar

from dagrow.callbacks.callback import RunHandle
from dagrow.callbacks.events import Event, RunBegin
from dagrow.callbacks.loggers.base import Logger, Values, required


class WandbLogger(Logger):
    """Writes a run of Weights & Biases into the run directory; ``wandb sync`` sends it later.

    Args:
        project: its name.
        mode: ``offline`` or ``online``.
    """

    name: ClassVar[str] = "wandb"

    def __init__(self, project: str = "dagrow", mode: str = "offline") -> None:
        self.project, self.mode = project, mode
        self._run: Any = None

    def open(self, run: RunHandle, event: RunBegin) -> None:
        """Runs have the epoch as the axis of all numbers, so that a resumed one goes on in the same figure."""
        wandb = required("wandb", self.name)
        folder = self._folder(run, ".")
        told = {"project": self.project, "name": run.name, "group": run.name, "config": dict(run.config)}
        self._run = wandb.init(**told, mode=self.mode, dir=str(folder))
        self._run.define_metric("epoch")
        self._run.define_metric("*", step_metric="epoch")

    def log(self, values: Values, event: Event) -> None:
        """Numbers beside their epoch."""
        self._run.log({"epoch": event.epoch, **values})

    def note(self, text: str, event: Event) -> None:
        """The last sentence stands in the summary."""
        self._run.summary["growth"] = text

    def close(self, failed: bool) -> None:
        """Says how the run ended."""
        if self._run is not None:
            self._run.finish(exit_code=1 if failed else 0)
