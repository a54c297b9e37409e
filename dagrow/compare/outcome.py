"""What a finished cell says: read from the journal of its run directory, so that nothing need be kept beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagrow.errors import RunError
from dagrow.journal import read_journal


@dataclass(frozen=True)
class Outcome:
    """The end of a run and what it took.

    Attributes:
        loss: mean over the test samples.
        accuracy: on them; None for a regression.
        train_loss: mean over the training samples.
        parameters: of the last graph.
        multiply_adds: of the last graph, for one sample.
        epochs: passes over the training set.
        training_samples: of one pass.
        training_seconds: of gradient descent.
        growth_seconds: of growth steps.
        training_multiply_adds: of gradient descent, forward and backward.
        growth_multiply_adds: of growth steps: see `dagrow.flop_counter`.
        gains: per insertion the gain that it was chosen by, and the drop of the test loss that it brought: at once,
            or, of a run with ``growth.measure_later_gain``, some gradient steps later beside a twin that did not grow.
    """

    loss: float
    accuracy: float | None
    train_loss: float
    parameters: int
    multiply_adds: int
    epochs: int
    training_samples: int
    training_seconds: float
    growth_seconds: float
    training_multiply_adds: int
    growth_multiply_adds: int
    gains: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        """Of training and growth."""
        return self.training_seconds + self.growth_seconds

    @property
    def work(self) -> int:
        """Multiply-adds of training and growth."""
        return self.training_multiply_adds + self.growth_multiply_adds

    def __str__(self) -> str:
        score = f"loss {self.loss:.4g}" if self.accuracy is None else f"accuracy {self.accuracy:.4f}"
        spent = f"{self.training_seconds:.1f} s training, {self.growth_seconds:.1f} s growth"
        return f"test {score}, {self.parameters} parameters, {spent}"


def read_outcome(journal: Path) -> Outcome:
    """The outcome of a run that came to its end.

    Raises:
        RunError: if the journal is not that of a finished run.
    """
    events = read_journal(journal)
    if not events or events[-1]["event"] != "end":
        raise RunError(f"{journal}: the run has not come to its end")
    try:
        return _outcome(events)
    except (KeyError, TypeError) as error:
        raise RunError(f"{journal}: not the journal of a run of this version (no {error})") from error


def _outcome(events: Sequence[Mapping[str, Any]]) -> Outcome:
    end = events[-1]
    epochs = [event for event in events if event["event"] == "epoch"]
    steps = [event for event in events if event["event"] == "growth"]
    later = {event["step"]: event["test_gain"] for event in events if event["event"] == "calibration"}
    growth = [*steps, *(event for event in events if event["event"] == "removal")]
    return Outcome(
        loss=end["test"]["loss"],
        accuracy=end["test"]["accuracy"],
        train_loss=end["train"]["loss"],
        parameters=end["parameters"],
        multiply_adds=end["multiply_adds"],
        epochs=round(sum(event["samples"] for event in epochs) / events[0]["samples"]),
        training_samples=events[0]["samples"],
        training_seconds=sum(event["seconds"] for event in epochs),
        growth_seconds=sum(event["seconds"] for event in growth),
        training_multiply_adds=sum(event["work"] for event in epochs),
        growth_multiply_adds=sum(event["work"] for event in growth),
        gains=tuple(_gains(step, later.get(step["step"])) for step in steps if step["inserted"]),
    )


def _gains(step: Mapping[str, Any], later: float | None) -> tuple[float, float]:
    inserted = step["inserted"]
    held_out = inserted["held_out_gain"]
    predicted = inserted["gain"] if held_out is None else held_out
    return predicted, step["before"]["loss"] - step["test"]["loss"] if later is None else later
