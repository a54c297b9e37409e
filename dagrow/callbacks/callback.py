"""The interface of callbacks: what a user's own code may do while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dagrow.callbacks.events import (
    EpochEnd,
    FinalTraining,
    Growth,
    Insertion,
    Removal,
    RunBegin,
    RunEnd,
    TakenBack,
)


class RunHandle:
    """What a callback sees of the run, and how it asks it to stop.

    Attributes:
        name: of the run.
        config: the run file as plain data, every default written out.
        out: the run directory; None where nothing is written.
        network: the network as it is now, in the middle of training: read it, leave it as it is.
    """

    def __init__(self, name: str, config: Mapping[str, Any], out: Path | None, network: nn.Module) -> None:
        self.name, self.config, self.out, self.network = name, config, out, network
        self.stop_reason: str | None = None

    def stop(self, reason: str) -> None:
        """Asks the run to stop: it ends here as it would have in the end, with all its files and its result.

        Args:
            reason: in words, for the journal.
        """
        self.stop_reason = self.stop_reason or reason


class Callback:
    """Base class of callbacks: every method does nothing, override those that matter.

    Methods are called between two units of the run (training, growth step), in the order of the list that
    `dagrow.grow` was given, by the first process alone. What they draw leaves the run's random numbers as they were.
    An exception ends the run; its state is kept first, so that it can be resumed.
    """

    def on_begin(self, run: RunHandle, event: RunBegin) -> None:
        """Before anything else; after a resumption too, which ``event.resumed`` says."""

    def on_epoch_end(self, run: RunHandle, event: EpochEnd) -> None:
        """After each unit of training that was kept."""

    def on_growth(self, run: RunHandle, event: Growth) -> None:
        """After each growth step: its candidates, the chosen one, its gain."""

    def on_insertion(self, run: RunHandle, event: Insertion) -> None:
        """After `on_growth`, where something was inserted."""

    def on_removal(self, run: RunHandle, event: Removal) -> None:
        """After `on_insertion`, where something was removed."""

    def on_taken_back(self, run: RunHandle, event: TakenBack) -> None:
        """After a unit of training that was taken back."""

    def on_final_training(self, run: RunHandle, event: FinalTraining) -> None:
        """Growth is over, the final training begins; not every schedule has one."""

    def on_end(self, run: RunHandle, event: RunEnd) -> None:
        """The run has ended, also where a callback has asked for it."""

    def on_error(self, run: RunHandle, error: BaseException) -> None:
        """The run ends by an error or an interrupt; close what is open. `on_end` is not called then."""
