"""How far a run has come, and what it does next: the whole of a run is this one decision, taken again and again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from dagrow.spec import RunSpec


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
        epoch: passes over the training set, all together.
        step: growth steps, those that found nothing included.
        since_growth: passes since the last growth step.
        dry: growth steps without gain since the last one with gain.
        grown: growth has ended before its budget of steps did.
    """

    started: bool = False
    epoch: int = 0
    step: int = 0
    since_growth: int = 0
    dry: int = 0
    grown: bool = False

    def after_start(self) -> Progress:
        """The start is on record."""
        return replace(self, started=True)

    def after_epoch(self) -> Progress:
        """One more pass over the training set."""
        return replace(self, epoch=self.epoch + 1, since_growth=self.since_growth + 1)

    def after_growth(self, run: RunSpec, gained: bool) -> Progress:
        """One more growth step; several in a row without gain end growth."""
        dry = 0 if gained else self.dry + 1
        # Without training in between, the next step would see what this one saw.
        hopeless = not gained and (dry >= run.growth.patience or run.training.epochs_between_growth == 0)
        return replace(self, step=self.step + 1, since_growth=0, dry=dry, grown=hopeless)

    def __str__(self) -> str:
        return f"epoch {self.epoch}, growth step {self.step}"


def growth_is_over(run: RunSpec, done: Progress) -> bool:
    """Whether only the final training is left."""
    return done.grown or done.step >= run.growth.budget.steps


def epochs_planned(run: RunSpec, done: Progress) -> int:
    """Passes from the last growth step to the next one, or to the end."""
    training = run.training
    return training.final_epochs if growth_is_over(run, done) else training.epochs_between_growth


def next_unit(run: RunSpec, done: Progress) -> Unit:
    """What a run does next (thesis Algorithms 9 and 11)."""
    if not done.started:
        return Unit.START
    if done.since_growth < epochs_planned(run, done):
        return Unit.EPOCH
    return Unit.END if growth_is_over(run, done) else Unit.GROWTH
