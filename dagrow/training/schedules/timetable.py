"""Growth by a timetable: a step after so much training, until some gained nothing (thesis Algorithms 9 and 11)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from dagrow.spec import RunSpec
from dagrow.training.progress import Progress
from dagrow.training.schedules.schedule import Schedule, Unit
from dagrow.training.schedules.scopes import SCOPES


@dataclass(frozen=True)
class Timetable(Schedule):
    """A fixed rule for when growth steps come.

    Attributes:
        due: whether a growth step comes now, and no more training before it.
        units: of training before a growth step, as far as one knows; 0 if there is no training at all.
        steps: gradient steps of one unit of training; None for a pass over the training set.
        within_a_pass: a unit of training is no more than a pass, however many gradient steps it may have.
        by_validation: the loss that training is judged by is that on the validation samples.
    """

    due: Callable[[RunSpec, Progress], bool]
    units: Callable[[RunSpec], int]
    steps: Callable[[RunSpec], int] | None = None
    within_a_pass: bool = False
    by_validation: bool = False

    def next_unit(self, run: RunSpec, done: Progress) -> Unit:
        """Growth where it is due, then the final passes."""
        if self.growth_is_over(run, done):
            return (
                Unit.EPOCH if not done.training_finished and done.since_growth < run.training.final_epochs else Unit.END
            )
        return Unit.GROWTH if done.queued_steps or self.due(run, done) else Unit.EPOCH

    def growth_is_over(self, run: RunSpec, done: Progress) -> bool:
        """When steps gained nothing, or the budget of steps is spent."""
        return done.growth_finished or done.step >= run.growth.budget.steps

    def planned(self, run: RunSpec) -> int:
        """As the run file says."""
        return self.units(run)

    def gradient_steps(self, run: RunSpec, done: Progress, batches: int) -> int:
        """A pass, or the schedule's own number."""
        if self.steps is None or self.growth_is_over(run, done):
            return batches
        return min(self.steps(run), batches if self.within_a_pass else sys.maxsize)

    def after_training(self, run: RunSpec, done: Progress, loss: float, error: float) -> Progress:
        """Counts passes that have not brought the loss down."""
        more = replace(done, epoch=done.epoch + 1, since_growth=done.since_growth + 1)
        if done.lowest is None or loss < (1 - run.growth.plateau) * done.lowest:
            return replace(more, lowest=loss, epochs_without_improvement=0)
        return replace(more, epochs_without_improvement=done.epochs_without_improvement + 1)

    def after_growth(self, run: RunSpec, done: Progress, gained: bool, places: int, changed: bool) -> Progress:
        """Several steps in a row without gain end growth."""
        steps_without_gain = 0 if gained else done.steps_without_gain + 1
        # Without training or an update in between, the next step would see what this one saw.
        rounds = run.growth.patience if self.planned(run) or changed else 1
        fresh = replace(done, since_growth=0, lowest=None, epochs_without_improvement=0)
        scope = SCOPES[run.growth.scope]
        row = run.growth.insertions_per_step * (places if scope.at_once else 1)
        # A step about all places that found nothing would find nothing again.
        queued_steps = (done.queued_steps or row) - 1 if changed or scope.in_turn else 0
        return replace(
            fresh,
            step=done.step + 1,
            steps_without_gain=steps_without_gain,
            queued_steps=queued_steps,
            growth_finished=steps_without_gain >= rounds * max(1, places),
        )
