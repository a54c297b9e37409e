"""How far a run has come."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Progress:
    """What is done. Together with the run file it says what comes next.

    Attributes:
        started: the start is on record.
        epoch: units of training, all together: passes over the training set, or as the schedule has it.
        step: growth steps, those that found nothing included.
        since_growth: units of training since the last growth step: passes, or as the schedule has it.
        steps_without_gain: growth steps without gain since the last one with gain.
        growth_finished: growth has ended before its budget of steps did.
        training_finished: training has ended before its passes did.
        lowest: training loss of the best pass since the last growth step; None before the first.
        epochs_without_improvement: passes since then that have not brought it down.
        queued_steps: growth steps that come before any more training.
        fewest: errors on validation samples in the best pass since the last growth step, where they are judged by.
        turn: which place of a round the next growth step is about.
        inserted: whether something was inserted in this round.
        rounds: of training that have ended.
        best_loss: on validation samples, of the rounds that have ended.
        best_error: likewise.
        finishing: the final training has begun, on all training samples.
        final_units: how long it is.
        lowest_training: the lowest mean training loss of any unit so far.
        taken_back: units of training that were taken back since the last one that was kept.
        scale: of the learning rate.
        over_fit: how much of the remedies for over-fitting the network needs, from 0 to 1.
        unlearned: next to nothing has been learned from the inputs yet.
        under_fit: how nearly the network is as wrong in training as on other samples, from 0 to 1.
        best_under_fit: that at the end of the last round that was better than those before.
    """

    started: bool = False
    epoch: int = 0
    step: int = 0
    since_growth: int = 0
    steps_without_gain: int = 0
    growth_finished: bool = False
    training_finished: bool = False
    lowest: float | None = None
    epochs_without_improvement: int = 0
    queued_steps: int = 0
    fewest: float | None = None
    turn: int = 0
    inserted: bool = False
    rounds: int = 0
    best_loss: float | None = None
    best_error: float | None = None
    finishing: bool = False
    final_units: int = 0
    lowest_training: float | None = None
    taken_back: int = 0
    scale: float = 1.0
    over_fit: float = 1.0
    unlearned: bool = False
    under_fit: float = 0.0
    best_under_fit: float = 0.0

    def after_start(self) -> Progress:
        """The start is on record."""
        return replace(self, started=True)

    def ended(self) -> Progress:
        """More passes would change nothing."""
        return replace(self, growth_finished=True, training_finished=True)

    def __str__(self) -> str:
        return f"epoch {self.epoch}, growth step {self.step}"
