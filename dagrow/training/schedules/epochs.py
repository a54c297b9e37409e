"""After so many passes over the training set."""

from __future__ import annotations

from dagrow.spec import RunSpec
from dagrow.training.progress import Progress
from dagrow.training.schedules.timetable import Timetable


def _due(run: RunSpec, done: Progress) -> bool:
    return done.since_growth >= run.training.epochs_between_growth


epochs = Timetable(_due, lambda run: run.training.epochs_between_growth)
