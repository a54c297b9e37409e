"""Where training gets no further: so many passes in a row have not brought the loss down.

That is the training loss, or the one on samples kept back, which stops falling when the network begins to over-fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dagrow.spec import RunSpec
from dagrow.training.schedules.timetable import Timetable

if TYPE_CHECKING:
    from dagrow.training.progress import Progress


def _due(run: RunSpec, done: Progress) -> bool:
    return done.epochs_without_improvement >= run.training.epochs_between_growth


plateau = Timetable(_due, lambda run: run.training.epochs_between_growth)
validation = replace(plateau, by_validation=True)
