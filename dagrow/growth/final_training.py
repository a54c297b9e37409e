"""The final training of a run that grows by validation, and units of training that are taken back."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

from dagrow.training.epochs import Objective
from dagrow.training.progress import Progress
from dagrow.training.snapshot import network_parts, restored_network
from dagrow.training.state import RunContext, RunState
from dagrow.training.weight_ema import WeightEMA

TOO_HIGH = 2.0
"""A training loss that is so many times the lowest one so far: what has been learned is being lost."""
FEW = 1e-3
"""Training losses below this are small whatever they do; of a regression, in units of its targets' variance."""
CERTAIN, EXACT = 1e-3, 1e-5
"""Validation losses below which a network can hardly get better: of classes; of a regression, relative to the variance
of its targets."""
OVER_FITTED, LEAST_DECAY = 0.3, 0.05
"""A training loss that is lower than the validation loss by this part of it calls for all of the weight decay; the
least that is left of it otherwise."""
MOST_TAKEN_BACK = 5
"""Units in a row; after that training ends."""
MOST_AT_FIRST = 2
"""Likewise where the final training begins: with a norm, the score to compare with is not that of training."""
RISING = 0.1
"""Share of the final training in which its learning rate rises: a new optimizer takes its longest steps at first."""


def ends_worse(task: RunContext, state: RunState) -> bool:
    """Whether the final training has ended worse than it began, on samples that it could even learn from."""
    best, samples = state.best, task.returned
    if best is None or best.graph is None or samples is None:
        return False
    loss = task.score(state.average.network(state.network), samples).loss
    return not loss <= best.loss


def over_fit(training_loss: float | None, validation_loss: float | None) -> float:
    """From 0 to 1: how much of the remedies for over-fitting a network needs.

    Args:
        training_loss: of it; None where it is not known.
        validation_loss: likewise.
    """
    if training_loss is None or validation_loss is None or not validation_loss > 0:
        return 1.0
    return min(max((1 - training_loss / validation_loss) / OVER_FITTED, 0.0), 1.0)


def under_fit(training_loss: float, validation_loss: float) -> float:
    """From 0 to 1: how nearly a network is as wrong on training samples as on others, so that it could learn more.

    A unit's training loss is the mean while it learned, so somewhat above. Samples on which it is far less wrong than
    in training are of another kind (a rare class is not among them), and say nothing of that.

    Args:
        training_loss: of it.
        validation_loss: likewise.
    """
    if not validation_loss > 0:
        return 0.0
    above = (training_loss / validation_loss - 1) / OVER_FITTED
    return min(max(0.0, 1 + above if above < 0 else 2 - above), 1.0)


def floor(objective: Objective, constant: float | None) -> float:
    """The validation loss below which differences say nothing.

    Args:
        objective: the loss.
        constant: the loss of the best constant answer, if it is known.
    """
    return EXACT * (constant or 0.0) if objective.loss.correct is None else CERTAIN * objective.factor


def set_rates(task: RunContext, state: RunState) -> None:
    """Learning rate and weight decay of the next unit.

    The rate rises for a tenth of the final training and falls to 0 by half a cosine, if no scheduler says otherwise. A
    weight decay that was chosen here is there as far as the network over-fits.
    """
    done = state.progress
    if task.spec.training.weight_decay == "auto":
        decay = task.spec.training.optimizer.options["weight_decay"]
        assert isinstance(decay, int | float)
        for group in state.optimizer.param_groups:
            group["weight_decay"] = decay * max(done.over_fit, LEAST_DECAY)
    if task.spec.training.scheduler is not None:
        return
    share = _share(done.since_growth, done.final_units) if done.finishing else 1.0
    for group in state.optimizer.param_groups:
        group["lr"] = task.spec.training.optimizer.lr * done.scale * share


def _share(unit: int, units: int) -> float:
    """Of the learning rate, in the final training: it rises for a tenth of it, and falls by half a cosine."""
    falling = 0.5 * (1 + math.cos(math.pi * unit / max(1, units)))
    return falling * min(1.0, (unit + 1) / max(1.0, RISING * units))


def take_back(task: RunContext, state: RunState, loss: float, before: Progress) -> str | None:
    """Goes back to the state after the last good unit where the training loss has risen far above its lowest.

    Args:
        task: the run.
        state: after a unit of training; changed in place.
        loss: mean training loss of that unit.
        before: what was done before it.

    Returns:
        What a person is told, if the unit was taken back.
    """
    lowest = before.lowest_training
    if lowest is None or state.kept is None or loss <= max(TOO_HIGH * lowest, FEW * task.objective.factor):
        keep(state, loss if lowest is None else min(loss, lowest))
        return None
    if before.finishing and before.since_growth == before.taken_back >= MOST_AT_FIRST:
        keep(state, loss)
        return None
    kept = copy.deepcopy(dict(state.kept))
    state.network, state.optimizer = restored_network(kept, task.spec.training, state.device)
    state.average = WeightEMA(state.network, task.spec.training.ema_decay)
    state.average.load_state_dict(kept["average"])
    ended = before.taken_back + 1 >= MOST_TAKEN_BACK
    state.progress = replace(
        state.progress,
        scale=before.scale / 2,
        taken_back=before.taken_back + 1,
        lowest_training=lowest,
        growth_finished=state.progress.growth_finished or ended,
        training_finished=before.finishing and ended,
    )
    return f"training loss {loss:.4g}, it has been {lowest:.4g}: taken back, with half the learning rate"


def keep(state: RunState, loss: float) -> None:
    """A unit of training that stays: what a later one may have to go back to."""
    state.progress = replace(state.progress, lowest_training=loss, taken_back=0)
    parts = {**network_parts(state.network, state.optimizer), "average": state.average.state_dict()}
    state.kept = copy.deepcopy(parts)
