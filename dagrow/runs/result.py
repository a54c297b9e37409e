"""What a run hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagrow.build import Network
from dagrow.data import Preprocessing
from dagrow.journal.tables import history_table
from dagrow.runs.prediction import Prediction
from dagrow.runs.trained_model import TrainedModel, trained_model
from dagrow.training.epochs import Score


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
        metrics: those that were given in Python, by name, on the test samples.
    """

    model: Network
    train: Score
    test: Score
    events: tuple[dict[str, Any], ...]
    out: Path | None = None
    preprocessing: Preprocessing | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)

    def predict(self, *inputs: Any) -> Prediction:
        """What the network says of raw values, see `TrainedModel.predict`.

        Raises:
            DataError: if they do not fit, or the network has several outputs.
            RunError: if the run has no preprocessing.
        """
        return self.trained_model().predict(*inputs)

    def trained_model(self) -> TrainedModel:
        """The network with its preprocessing, as `dagrow.load_model` gives it.

        Raises:
            RunError: if the run has none.
        """
        return trained_model(self.model, self.preprocessing, "the run" if self.out is None else str(self.out))

    def __str__(self) -> str:
        return history_table(self.events)
