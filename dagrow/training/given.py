"""What a run is given in Python, beside its file: samples, a loss, metrics, callbacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from dagrow.callbacks import LOGGERS, Callback
from dagrow.data.raw import Raw
from dagrow.errors import GrowthError, RunError
from dagrow.objectives import LOSSES, Loss
from dagrow.spec import RunSpec
from dagrow.training.metrics import NO_METRICS, Metrics

PythonLoss = Callable[[Any, Any], Tensor]


@dataclass(frozen=True)
class Given:
    """What a run file cannot hold.

    Attributes:
        raw: the samples; None where the run file names their source.
        loss: ``(output, target) -> scalar``, the mean over samples; None for the one that the run file names.
        metrics: measured after each unit of the run.
        callbacks: of the user; the loggers of the run file come after them.
    """

    raw: Raw | None = None
    loss: PythonLoss | None = None
    metrics: Metrics = NO_METRICS
    callbacks: tuple[Callback, ...] = ()

    def loss_of(self, run: RunSpec) -> Loss:
        """The loss of a run: what is minimised, how targets are read and what outputs mean.

        Raises:
            RunError: if it was given in Python when the run began, and is not now.
        """
        named = LOSSES[run.training.loss]
        if self.loss is not None:
            return replace(named, mean=_Checked(self.loss, loss_name(self.loss)))
        if run.training.custom_loss is not None or run.training.loss == "custom":
            called = run.training.custom_loss or "custom"
            raise RunError(f"the loss '{called}' of this run was given in Python: dagrow.grow(..., loss=FUNCTION)")
        return named

    def all_callbacks(self, run: RunSpec) -> tuple[Callback, ...]:
        """Those of the user, and the loggers that the run file names."""
        loggers = (LOGGERS[entry.name](**entry.options) for entry in run.training.loggers)
        return (*self.callbacks, *loggers)


class _Checked:
    """A loss of the user, whose answers are looked at."""

    def __init__(self, function: PythonLoss, name: str) -> None:
        self.function, self.name = function, name

    def __call__(self, output: Any, target: Any) -> Tensor:
        value = self.function(output, target)
        if not isinstance(value, Tensor) or value.numel() != 1:
            found = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise GrowthError(f"the loss '{self.name}' must give one number, the mean over the samples, not {found}")
        return value.reshape(())


def loss_name(function: PythonLoss) -> str:
    """What a loss is called in files and messages."""
    return str(getattr(function, "__name__", type(function).__name__))[:80]


NOTHING = Given()
"""A run file says it all."""
