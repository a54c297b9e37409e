"""Where training gets no further: so many passes in a row have not brought the training loss down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagrow.spec import RunSpec
from dagrow.training.schedules.schedule import Schedule

if TYPE_CHECKING:
    from dagrow.training.progress import Progress


def _due(run: RunSpec, done: Progress) -> bool:
    return done.flat >= run.training.epochs_between_growth


plateau = Schedule(_due, lambda run: run.training.epochs_between_growth)
