"""An end for runs that must not take long."""

from __future__ import annotations

import time

from dagrow.callbacks import Callback, EpochEnd, Growth, RunBegin, RunHandle


class Limits(Callback):
    """Stops a run after so many units of training, or so long a time.

    Args:
        epochs: units of training; None for no limit.
        seconds: since the run began, looked at after each unit of it; None for no limit.
    """

    def __init__(self, epochs: int | None = None, seconds: float | None = None) -> None:
        self.epochs, self.seconds = epochs, seconds
        self._begin = time.monotonic()

    def on_begin(self, run: RunHandle, event: RunBegin) -> None:
        """The time begins."""
        self._begin = time.monotonic()

    def on_epoch_end(self, run: RunHandle, event: EpochEnd) -> None:
        """Looks at both limits."""
        if self.epochs is not None and event.epoch >= self.epochs:
            run.stop(f"max_epochs: {self.epochs}")
        self._look_at_time(run)

    def on_growth(self, run: RunHandle, event: Growth) -> None:
        """Looks at the time."""
        self._look_at_time(run)

    def _look_at_time(self, run: RunHandle) -> None:
        if self.seconds is not None and time.monotonic() - self._begin >= self.seconds:
            run.stop(f"max_seconds: {self.seconds:g}")
