"""How far a run has come, and what it does next: the whole of a run is this one decision, taken again and again."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from enum import Enum

from dagrow.spec import RunSpec
from dagrow.training.schedules import SCHEDULES, SCOPES


class Unit(Enum):
    """The pieces of a run: each is done wholly or not at all, and between two of them it can be stopped."""

    START = "start"
    EPOCH = "epoch"
    GROWTH = "growth"
    END = "end"


@dataclass(frozen=True)
class Progress:
    """What is done. Together with the run file it says what comes next.

    Attributes:
        started: the start is on record.
        epoch: units of training, all together: passes over the training set, or as the schedule has it.
        step: growth steps, those that found nothing included.
        since_growth: units of training since the last growth step: passes, or as the schedule has it.
        dry: growth steps without gain since the last one with gain.
        grown: growth has ended before its budget of steps did.
        over: training has ended before its passes did.
        lowest: training loss of the best pass since the last growth step; None before the first.
        flat: passes since then that have not brought it down.
        left: growth steps that come before any more training.
    """

    started: bool = False
    epoch: int = 0
    step: int = 0
    since_growth: int = 0
    dry: int = 0
    grown: bool = False
    over: bool = False
    lowest: float | None = None
    flat: int = 0
    left: int = 0

    def after_start(self) -> Progress:
        """The start is on record."""
        return replace(self, started=True)

    def ended(self) -> Progress:
        """More passes would change nothing."""
        return replace(self, grown=True, over=True)

    def after_training(self, run: RunSpec, loss: float) -> Progress:
        """One more unit of training with this mean loss."""
        done = replace(self, epoch=self.epoch + 1, since_growth=self.since_growth + 1)
        if self.lowest is None or loss < (1 - run.growth.plateau) * self.lowest:
            return replace(done, lowest=loss, flat=0)
        return replace(done, flat=self.flat + 1)

    def after_growth(self, run: RunSpec, gained: bool, places: int = 1) -> Progress:
        """One more growth step; several in a row without gain end growth.

        Args:
            run: the run file.
            gained: whether something was inserted.
            places: that take turns, of which this step was about one; 1 where it was about all of them.
        """
        dry = 0 if gained else self.dry + 1
        # Without training in between, the next step would see what this one saw.
        rounds = run.growth.patience if SCHEDULES[run.growth.schedule].planned(run) else 1
        fresh = replace(self, since_growth=0, lowest=None, flat=0)
        scope = SCOPES[run.growth.scope]
        row = run.growth.in_a_row * (places if scope.at_once else 1)
        # A step about all places that found nothing would find nothing again.
        left = (self.left or row) - 1 if gained or scope.in_turn else 0
        return replace(fresh, step=self.step + 1, dry=dry, left=left, grown=dry >= rounds * max(1, places))

    def __str__(self) -> str:
        return f"epoch {self.epoch}, growth step {self.step}"


def growth_is_over(run: RunSpec, done: Progress) -> bool:
    """Whether only the final training is left."""
    return done.grown or done.step >= run.growth.budget.steps


def units_planned(run: RunSpec, done: Progress) -> int:
    """Units of training from the last growth step to the next one, or to the end, as far as one knows."""
    return run.training.final_epochs if growth_is_over(run, done) else SCHEDULES[run.growth.schedule].planned(run)


def gradient_steps(run: RunSpec, done: Progress, batches: int) -> int:
    """Of the next unit of training, where a pass over the training set has so many batches."""
    schedule = SCHEDULES[run.growth.schedule]
    if schedule.gradient_steps is None or growth_is_over(run, done):
        return batches
    return min(schedule.gradient_steps(run), batches if schedule.within_a_pass else sys.maxsize)


def next_unit(run: RunSpec, done: Progress) -> Unit:
    """What a run does next (thesis Algorithms 9 and 11)."""
    if not done.started:
        return Unit.START
    if growth_is_over(run, done):
        return Unit.EPOCH if not done.over and done.since_growth < run.training.final_epochs else Unit.END
    return Unit.GROWTH if done.left or SCHEDULES[run.growth.schedule].due(run, done) else Unit.EPOCH
