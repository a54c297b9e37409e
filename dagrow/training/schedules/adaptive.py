"""Growth by validation: train until the validation loss stalls, grow, and stop when growth no longer improves it.

A round is the training between two growths, and the growth steps that follow it: one for each place, without training
in between, and first one for new nodes, edges and layers where they are candidates. Rounds are compared by their best
validation loss, and by their best validation error: where a network grows more certain than right, its loss rises while
it still learns. After some rounds that improve neither, the best network so far is taken up again and trained to the
end on all training samples, with a learning rate that falls to 0.
"""

from __future__ import annotations

import math
from dataclasses import replace

from dagrow.spec import RunSpec
from dagrow.training.progress import Progress
from dagrow.training.schedules.schedule import Schedule, Unit

STALLED = 1
"""Units of training in a row that bring neither loss nor error down."""
LONGEST_ROUND = 40
"""Units of training in a round, at most."""
STEPS = (20, 200)
"""Gradient steps of a unit while the network grows: a pass over a small set says little, over a large one is long."""
FEWEST_FINAL_STEPS = 600
"""Gradient steps of the final training, at least."""
PERSISTENCE = 4
"""Times the patience, and the units of training without progress, while next to nothing has been learned: the loss is
flat around a start, and what is right may still be far away."""
LOSS, ERROR = 0.005, 0.01
"""Relative improvements of a round that count."""


class Adaptive(Schedule):
    """Grows while growth improves validation."""

    by_validation = True
    by_width = True

    def next_unit(self, run: RunSpec, done: Progress) -> Unit:
        """Training until it stalls, a round of growth steps, and in the end the final training."""
        if self.growth_is_over(run, done):
            if not done.finishing:
                return Unit.FINISH
            return Unit.EPOCH if not done.training_finished and done.since_growth < done.final_units else Unit.END
        stalled = self._stalled(done)
        return Unit.GROWTH if done.queued_steps or stalled else Unit.EPOCH

    def growth_is_over(self, run: RunSpec, done: Progress) -> bool:
        """When validation has not improved for some rounds, or the budget is spent."""
        return done.growth_finished or done.rounds > run.growth.budget.steps

    def planned(self, run: RunSpec) -> int:
        """A round has some units; how many, its training shows."""
        return 3

    def gradient_steps(self, run: RunSpec, done: Progress, batches: int) -> int:
        """A pass within bounds, a whole one in the end."""
        return batches if self.growth_is_over(run, done) else min(max(batches, STEPS[0]), STEPS[1])

    def after_training(self, run: RunSpec, done: Progress, loss: float, error: float) -> Progress:
        """A round ends where neither loss nor error has fallen; rounds that improve nothing end growth."""
        more = replace(done, epoch=done.epoch + 1, since_growth=done.since_growth + 1)
        if self.growth_is_over(run, done):
            return more
        least = 1 - run.growth.plateau
        lowest, fewest = (math.inf if x is None else x for x in (done.lowest, done.fewest))
        falls = loss < least * lowest or error < least * fewest
        more = replace(
            more,
            lowest=min(loss, lowest),
            fewest=min(error, fewest),
            epochs_without_improvement=0 if falls else done.epochs_without_improvement + 1,
        )
        return self._round_ended(run, more) if self._stalled(more) else more

    @staticmethod
    def _stalled(done: Progress) -> bool:
        units = STALLED * (PERSISTENCE if done.unlearned else 1)
        return done.epochs_without_improvement >= units or done.since_growth >= LONGEST_ROUND

    def _round_ended(self, run: RunSpec, done: Progress) -> Progress:
        """Compares the round with those before it."""
        loss, error = (math.inf if x is None else x for x in (done.lowest, done.fewest))
        best, least = (math.inf if x is None else x for x in (done.best_loss, done.best_error))
        better = loss < (1 - LOSS) * best or error < (1 - ERROR) * least
        steps_without_gain = 0 if better else done.steps_without_gain + 1
        share = done.under_fit if better else done.best_under_fit
        lowest = replace(done, best_loss=min(loss, best), best_error=min(error, least), best_under_fit=share)
        # Where the best network so far under-fits, larger ones may well be worse at first.
        patience = round(run.growth.patience * (PERSISTENCE if done.unlearned else 1 + share))
        return replace(
            lowest,
            steps_without_gain=steps_without_gain,
            rounds=done.rounds + 1,
            growth_finished=steps_without_gain >= patience,
        )

    def after_growth(self, run: RunSpec, done: Progress, gained: bool, places: int, changed: bool) -> Progress:
        """The next place follows at once; a round in which nothing could be inserted ends growth."""
        turn, inserted = done.turn + 1, done.inserted or gained
        if turn < places:
            return replace(done, step=done.step + 1, turn=turn, inserted=inserted, queued_steps=1, since_growth=0)
        fresh = replace(
            done,
            since_growth=0,
            lowest=None,
            fewest=None,
            epochs_without_improvement=0,
            queued_steps=0,
            turn=0,
            inserted=False,
        )
        return replace(fresh, step=done.step + 1, growth_finished=not inserted)
