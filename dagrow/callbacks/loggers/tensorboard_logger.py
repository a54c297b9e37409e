"""Scalars for TensorBoard: ``tensorboard --logdir runs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from dagrow.callbacks.callback import RunHandle
from dagrow.callbacks.events import Event, RunBegin
from dagrow.callbacks.loggers.base import Logger, Values, required


class TensorBoardLogger(Logger):
    """Writes event files into ``tensorboard/`` of the run directory.

    Args:
        directory: another place.
    """

    name: ClassVar[str] = "tensorboard"

    def __init__(self, directory: str | None = None) -> None:
        self.directory = directory
        self._writer: Any = None

    def open(self, run: RunHandle, event: RunBegin) -> None:
        """What was written behind the epoch from which a resumed run goes on is hidden."""
        required("tensorboard", self.name)
        module = required("tensorboard", self.name, "torch.utils.tensorboard")
        folder = Path(self.directory) if self.directory else self._folder(run, "tensorboard")
        purge = event.epoch + 1 if event.resumed else None
        self._writer = module.SummaryWriter(str(folder), purge_step=purge)

    def log(self, values: Values, event: Event) -> None:
        """Scalars at the epoch."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, event.epoch)
        self._writer.flush()

    def note(self, text: str, event: Event) -> None:
        """Text at the epoch."""
        self._writer.add_text("growth", text, event.epoch)

    def close(self, failed: bool) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()
