"""Parameters, metrics and the grown graph for MLflow."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from dagrow.callbacks.callback import RunHandle
from dagrow.callbacks.events import Event, RunBegin
from dagrow.callbacks.loggers.base import Logger, Values, flat, required

_LONGEST = 500
"""Letters of a parameter's value that every MLflow server takes."""


class MlflowLogger(Logger):
    """Logs a run of MLflow to ``MLFLOW_TRACKING_URI``; where that is not set, into ``mlflow.db`` of the run directory.

    Args:
        experiment: its name.
        tracking_uri: another place.
    """

    name: ClassVar[str] = "mlflow"

    def __init__(self, experiment: str = "dagrow", tracking_uri: str | None = None) -> None:
        self.experiment, self.tracking_uri = experiment, tracking_uri
        self._client: Any = None
        self._run_id = ""

    def open(self, run: RunHandle, event: RunBegin) -> None:
        """A resumed run is another run of MLflow, of the same name, tagged as resumed."""
        mlflow = required("mlflow", self.name)
        uri = self.tracking_uri
        if uri is None and not os.environ.get("MLFLOW_TRACKING_URI"):
            uri = f"sqlite:///{self._folder(run, 'mlflow.db')}"
        self._client = mlflow.tracking.MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(self.experiment)
        number = self._client.create_experiment(self.experiment) if found is None else found.experiment_id
        tags = {"dagrow.resumed_from_epoch": str(event.epoch)} if event.resumed else {}
        self._run_id = self._client.create_run(number, run_name=run.name, tags=tags).info.run_id
        for key, value in flat(run.config).items():
            self._client.log_param(self._run_id, _key(key), str(value)[:_LONGEST])

    def log(self, values: Values, event: Event) -> None:
        """Metrics, with the epoch as their step."""
        for name, value in values.items():
            self._client.log_metric(self._run_id, name, value, step=event.epoch)

    def note(self, text: str, event: Event) -> None:
        """A tag per epoch."""
        self._client.set_tag(self._run_id, f"growth.epoch_{event.epoch}", text)

    def close(self, failed: bool) -> None:
        """Says how the run ended."""
        if self._client is not None and self._run_id:
            self._client.set_terminated(self._run_id, "FAILED" if failed else "FINISHED")


def _key(key: str) -> str:
    """A key with the letters that MLflow takes."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in key)
