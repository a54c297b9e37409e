"""What a run does next: the whole of a run is this one decision, taken again and again."""

from __future__ import annotations

from dagrow.spec import RunSpec
from dagrow.training.progress import Progress
from dagrow.training.schedules.registry import SCHEDULES
from dagrow.training.schedules.schedule import Schedule, Unit


def schedule_of(run: RunSpec) -> Schedule:
    """The schedule that a run file names."""
    return SCHEDULES[run.growth.schedule]


def growth_is_over(run: RunSpec, done: Progress) -> bool:
    """Whether only the final training is left."""
    return schedule_of(run).growth_is_over(run, done)


def units_planned(run: RunSpec, done: Progress) -> int:
    """Units of training from the last growth step to the next one, or to the end, as far as one knows."""
    if growth_is_over(run, done):
        return done.final_units or run.training.final_epochs
    return schedule_of(run).planned(run)


def gradient_steps(run: RunSpec, done: Progress, batches: int) -> int:
    """Of the next unit of training, where a pass over the training set has so many batches."""
    return schedule_of(run).gradient_steps(run, done, batches)


def next_unit(run: RunSpec, done: Progress) -> Unit:
    """What a run does next."""
    return schedule_of(run).next_unit(run, done) if done.started else Unit.START


def after_training(run: RunSpec, done: Progress, loss: float, error: float | None = None) -> Progress:
    """One more unit of training with this mean loss, and this share of wrong answers."""
    return schedule_of(run).after_training(run, done, loss, loss if error is None else error)


def after_growth(run: RunSpec, done: Progress, gained: bool, places: int = 1, changed: bool | None = None) -> Progress:
    """One more growth step; see `Schedule.after_growth`. Left out, what gained has changed the network."""
    return schedule_of(run).after_growth(run, done, gained, places, gained if changed is None else changed)
