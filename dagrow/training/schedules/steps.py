"""After so many gradient steps."""

from __future__ import annotations

from dagrow.spec import RunSpec
from dagrow.training.progress import Progress
from dagrow.training.schedules.timetable import Timetable


def _due(run: RunSpec, done: Progress) -> bool:
    return done.since_growth >= 1


steps = Timetable(_due, lambda run: 1, lambda run: run.training.steps_between_growth)
