"""What a run hands back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagrow.build import Network
from dagrow.data import Preprocessing
from dagrow.training.epochs import Score
from dagrow.training.log import history_table


@dataclass(frozen=True)
class GrowthResult:
    """The end of a run.

    Attributes:
        model: the grown network, in eval mode.
        train: its score on the training samples.
        test: its score on the test samples.
        events: the journal.
        out: the run directory; None if nothing was written.
        preprocessing: what is done to inputs before the network reads them, and what its outputs mean; None for a run
            of an earlier version, which has not written it down.
    """

    model: Network
    train: Score
    test: Score
    events: tuple[dict[str, Any], ...]
    out: Path | None = None
    preprocessing: Preprocessing | None = None

    def __str__(self) -> str:
        return history_table(self.events)
