"""What all loggers share: events become numbers by name, at an epoch."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from dagrow.callbacks.callback import Callback, RunHandle
from dagrow.callbacks.events import (
    EpochEnd,
    Event,
    FinalTraining,
    Growth,
    Insertion,
    Removal,
    RunBegin,
    RunEnd,
    TakenBack,
)
from dagrow.errors import DagrowError

Values = Mapping[str, float]


class Logger(Callback, ABC):
    """A callback that writes numbers somewhere.

    Names of numbers: ``train/loss`` (mean while training), ``train_eval/loss`` (of the network as it is),
    ``validation/loss``, ``validation/accuracy``, ``test/loss``, ``metrics/NAME``, ``growth/gain``, ``growth/neurons``,
    ``growth/candidates``, ``network/parameters``, ``learning_rate``, ``seconds``.
    """

    name: ClassVar[str]
    """As in run files."""

    @abstractmethod
    def open(self, run: RunHandle, event: RunBegin) -> None:
        """Begins, or goes on where the run is resumed from ``event.epoch``."""

    @abstractmethod
    def log(self, values: Values, event: Event) -> None:
        """Writes numbers, all of them finite."""

    @abstractmethod
    def note(self, text: str, event: Event) -> None:
        """Writes a sentence about the run, where there is a place for it."""

    @abstractmethod
    def close(self, failed: bool) -> None:
        """Writes what is left; the run has ended, by an error if ``failed``."""

    def on_begin(self, run: RunHandle, event: RunBegin) -> None:
        """Opens the log."""
        self.open(run, event)

    def on_epoch_end(self, run: RunHandle, event: EpochEnd) -> None:
        """Losses, scores, metrics."""
        values = {"train/loss": event.loss, "learning_rate": event.learning_rate, "seconds": event.seconds}
        self._log({**values, **_scores("validation", event.validation), **_metrics(event.metrics)}, event)

    def on_growth(self, run: RunHandle, event: Growth) -> None:
        """Scores, size, and what was gained."""
        chosen = event.chosen or {}
        values = {
            **_scores("train_eval", event.train),
            **_scores("test", event.test),
            **_scores("validation", event.validation),
            **_metrics(event.metrics),
            "growth/candidates": len(event.candidates),
            "growth/gain": 0.0 if event.chosen is None else event.gain,
            "growth/neurons": chosen.get("neurons", 0),
            "network/parameters": event.parameters,
        }
        self._log(values, event)
        if event.reason is not None:
            self.note(f"step {event.step}: {event.reason}", event)

    def on_insertion(self, run: RunHandle, event: Insertion) -> None:
        """What came in, in words."""
        self.note(f"step {event.step}: {event.kind} {event.place} +{event.neurons}", event)

    def on_removal(self, run: RunHandle, event: Removal) -> None:
        """The size."""
        self._log({"network/parameters": event.parameters}, event)
        self.note(f"step {event.step}: removed {event.place}", event)

    def on_taken_back(self, run: RunHandle, event: TakenBack) -> None:
        """The loss, and why."""
        self._log({"train/loss": event.loss}, event)
        self.note(event.reason, event)

    def on_final_training(self, run: RunHandle, event: FinalTraining) -> None:
        """That it begins."""
        self.note(f"the final training begins, of {event.epochs} epochs at most", event)

    def on_end(self, run: RunHandle, event: RunEnd) -> None:
        """The last scores, then the end."""
        scores = {**_scores("train_eval", event.train), **_scores("test", event.test), **_metrics(event.metrics)}
        self._log({**scores, "network/parameters": event.parameters}, event)
        self.close(failed=False)

    def on_error(self, run: RunHandle, error: BaseException) -> None:
        """The end."""
        self.close(failed=True)

    def _log(self, values: Mapping[str, Any], event: Event) -> None:
        self.log({name: float(value) for name, value in values.items() if value is not None}, event)

    def _folder(self, run: RunHandle, name: str) -> Path:
        """A place in the run directory.

        Raises:
            DagrowError: if the run has none.
        """
        if run.out is None:
            raise DagrowError(f"the logger '{self.name}' writes into the run directory, and write=False makes none")
        return run.out / name


def required(package: str, logger: str, module: str | None = None) -> Any:
    """A module of a package that a logger needs, imported only then.

    Raises:
        DagrowError: if it is not installed.
    """
    try:
        return importlib.import_module(module or package)
    except ImportError as error:
        raise DagrowError(f"the logger '{logger}' needs '{package}': pip install 'dagrow[{logger}]'") from error


def flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A nested configuration as one level, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return found


def _scores(part: str, scores: Mapping[str, Any] | None) -> dict[str, Any]:
    return {f"{part}/{name}": value for name, value in (scores or {}).items()}


def _metrics(values: Mapping[str, float | None]) -> dict[str, Any]:
    return {f"metrics/{name}": value for name, value in values.items()}
