"""When growth steps come: what a schedule says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagrow.spec import RunSpec

if TYPE_CHECKING:
    from dagrow.training.progress import Progress


@dataclass(frozen=True)
class Schedule:
    """When growth steps come.

    Attributes:
        due: whether a growth step comes now, and no more training before it.
        planned: units of training before a growth step, as far as one knows; 0 if there is no training at all.
        gradient_steps: of one unit of training; None for a pass over the training set.
        within_a_pass: a unit of training is no more than a pass, however many gradient steps it may have.
        by_validation: the loss that training is judged by is that on the validation samples.
    """

    due: Callable[[RunSpec, Progress], bool]
    planned: Callable[[RunSpec], int]
    gradient_steps: Callable[[RunSpec], int] | None = None
    within_a_pass: bool = False
    by_validation: bool = False
