"""What acts on a network between two gradient steps of a run, beside the optimizer; who brings it registers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dagrow.registry import Registry
from dagrow.spec import RunSpec
from dagrow.training.state import RunState


class TrainingExtension(Protocol):
    """What acts in one unit of training."""

    def after_batch(self) -> None:
        """Called after each gradient step; may change the network of the state, with optimizer and averages."""

    def entries(self) -> dict[str, Any]:
        """What the journal says of the unit; nothing where the run file asks for nothing."""

    def removed_count(self) -> int:
        """How many units of the network it has taken away so far."""


TRAINING_EXTENSIONS: Registry[Callable[[RunSpec, RunState, int], TrainingExtension]] = Registry("training extension")
"""Makes one for a unit of training: the run, its state, and the gradient steps of the unit."""


def extensions_of(run: RunSpec, state: RunState, steps: int) -> list[TrainingExtension]:
    """All of them, for a unit of so many gradient steps."""
    return [make(run, state, steps) for make in TRAINING_EXTENSIONS.values()]
