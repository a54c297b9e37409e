"""The learning rate of a run, pass by pass."""

from __future__ import annotations

from typing import Any

import torch

from dagrow.errors import OptimizerError
from dagrow.objectives import SCHEDULERS
from dagrow.spec.run import SchedulerSpec


class LearningRate:
    """A learning-rate scheduler, or none.

    Args:
        optimizer: whose rate it sets.
        spec: None leaves the rate as it is.

    Raises:
        OptimizerError: if the scheduler refuses its options.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, spec: SchedulerSpec | None) -> None:
        self._scheduler: Any = None
        if spec is None:
            return
        entry = SCHEDULERS[spec.name]
        self._reads_loss = entry.reads_loss
        try:
            self._scheduler = entry.kind(optimizer, **spec.options)
        except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
            reason = str(error).removeprefix(f"{entry.kind.__name__}.__init__() ")
            raise OptimizerError(f"the scheduler {spec.name} refuses its options: {reason}") from error

    def after_epoch(self, loss: float) -> None:
        """Sets the rate of the next pass.

        Args:
            loss: mean over the pass that is done.
        """
        if self._scheduler is not None:
            self._scheduler.step(*((loss,) if self._reads_loss else ()))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: numbers and lists. Tables of a scheduler come from its options and do not change."""
        state = {} if self._scheduler is None else self._scheduler.state_dict()
        return {key: value for key, value in state.items() if not isinstance(value, dict)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what a checkpoint kept; the rate itself is in the optimizer's groups.

        Raises:
            ValueError: if it is that of another scheduler.
        """
        if state.keys() != self.state_dict().keys():
            raise ValueError("the state is not that of this scheduler")
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state)
