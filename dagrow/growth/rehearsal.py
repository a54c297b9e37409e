"""How the final training begins: from which network, with how much weight decay, for how long.

Early stopping hands over a network just before it over-fits, so the gap between its losses says little of what a long
training will make of it. Hence the final training is rehearsed while the validation samples are still kept back.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from dagrow.build.network import derived_seed
from dagrow.growth.final_training import keep, over_fit, set_rates, take_back
from dagrow.randomness import seed_torch, torch_random_numbers_kept
from dagrow.training.epochs import TrainingError, make_optimizer
from dagrow.training.learning_rate import LearningRate
from dagrow.training.sample_sizes import training_batch
from dagrow.training.schedules import after_training
from dagrow.training.schedules.adaptive import FEWEST_FINAL_STEPS
from dagrow.training.snapshot import network_of
from dagrow.training.state import RunContext, RunState
from dagrow.training.train_unit import train_unit
from dagrow.training.validation import Best
from dagrow.training.weight_ema import WeightEMA

LONGER = 3
"""Times the length of the final training of a network that does not over-fit at all."""
GAINS = 0.85
"""A rehearsal that ends with this part of the validation loss that it began with, or less: training has more to gain
than to lose, whatever the gap."""
WITHIN_REACH = 2.0
"""A network that has not grown is tried beside the best where its validation loss is below so many times the other."""


@dataclass(frozen=True)
class Start:
    """What a final training may begin with.

    Attributes:
        best: the network, with its score on validation samples.
        over_fit: how much of the remedies for over-fitting it gets, from 0 to 1.
        rehearsed: validation loss at the end of the last rehearsal; None where there was none.
        work: multiply-adds of rehearsals.
    """

    best: Best
    over_fit: float
    rehearsed: float | None = None
    work: int = 0


def begin_finish(task: RunContext, state: RunState) -> tuple[RunContext, Mapping[str, Any]]:
    """Takes up the best network again, or the one from before any growth if that does better, with a new optimizer.

    Args:
        task: of the run so far.
        state: changed in place.

    Returns:
        The task with all training samples, and what the journal says of rehearsals.
    """
    starts = _starts(task, state)
    share = over_fit(None, None)
    if starts:
        chosen = min(starts, key=lambda each: math.inf if each.rehearsed is None else each.rehearsed)
        state.best, share = chosen.best, chosen.over_fit
        _take_up(task, state, chosen.best)
    units = _units(task.with_all_samples(), state, share)
    task = task.with_all_samples()
    _begin(task, state, share, units)
    told = [
        {"step": each.best.step, "loss": each.rehearsed, "over_fit": each.over_fit}
        for each in starts
        if each.rehearsed is not None
    ]
    return task, {"rehearsals": told, "work": sum(each.work for each in starts)}


def _starts(task: RunContext, state: RunState) -> list[Start]:
    """The best network and, where it may do as well, the one from before any growth."""
    best, ungrown = state.best, state.ungrown
    if best is None or best.graph is None:
        return []
    tried = ungrown is not None and ungrown.graph != best.graph and ungrown.loss < WITHIN_REACH * best.loss
    known = [best, ungrown] if tried and ungrown is not None else [best]
    return [_start(task, state, each, compared=tried) for each in known]


def _start(task: RunContext, state: RunState, best: Best, *, compared: bool) -> Start:
    """What it needs against over-fitting, by the gap of losses after a rehearsal; all where that ended worse."""
    network = network_of(copy.deepcopy(vars(best))).to(state.device)
    share = over_fit(task.score(network, task.split.train).loss, best.loss)
    mild = task.spec.training.weight_decay == "auto" and share < 1
    if task.held_out is None or task.spec.training.final_epochs == 0 or not (mild or compared):
        return Start(best, share)
    ended = _rehearse(task, state, best, share)
    if not mild:
        return Start(best, share, ended.held_out, ended.work)
    needed = max(share, _needed(ended, best.loss))
    if not compared or needed == share:
        return Start(best, needed, ended.held_out, ended.work)
    again = _rehearse(task, state, best, needed)
    return Start(best, needed, again.held_out, ended.work + again.work)


class _Ended(NamedTuple):
    """Losses at the end of a rehearsal, and the multiply-adds that it took."""

    train: float
    held_out: float
    work: int


def _needed(ended: _Ended, began: float) -> float:
    """The remedies that a rehearsal asks for, whose validation loss was ``began`` before."""
    if ended.held_out <= GAINS * began:
        return 0.0
    return over_fit(ended.train, ended.held_out) if ended.held_out <= began else 1.0


def _rehearse(task: RunContext, state: RunState, best: Best, share: float) -> _Ended:
    """A final training without the samples kept back; the run is not touched."""
    work = 0
    own = replace(state, order=torch.Generator().manual_seed(derived_seed(task.spec.seed, "rehearsal")))
    assert task.held_out is not None
    with torch_random_numbers_kept():
        seed_torch(derived_seed(task.spec.seed, "rehearsal"))
        _take_up(task, own, best)
        _begin(task, own, share, _units(task, own, 1.0))
        try:
            while own.progress.since_growth < own.progress.final_units and not own.progress.training_finished:
                set_rates(task, own)
                before, trained = own.progress, train_unit(task, own)
                work += trained.entries["work"]
                take_back(task, own, trained.loss, before)
                own.progress = after_training(task.spec, own.progress, trained.loss, trained.loss)
        except TrainingError:
            if task.processes.count > 1:
                raise
            return _Ended(math.inf, math.inf, work)
        network = own.average.network(own.network)
        train, held_out = (task.score(network, samples).loss for samples in (task.split.train, task.held_out))
    return _Ended(train, held_out if math.isfinite(held_out) else math.inf, work)


def _take_up(task: RunContext, state: RunState, best: Best) -> None:
    spec = task.spec
    state.network = network_of(copy.deepcopy(vars(best))).to(state.device)
    state.optimizer = make_optimizer(state.network, spec.training)
    state.learning_rate = LearningRate(state.optimizer, spec.training.scheduler)
    state.average = WeightEMA(state.network, spec.training.ema_decay)


def _units(task: RunContext, state: RunState, share: float) -> int:
    """Length of the final training; what does not over-fit may be trained for longer."""
    training = task.spec.training
    if not training.final_epochs:
        return 0
    batches = -(-len(task.split.train) // training_batch(task.spec, state.network.dag))
    units = max(training.final_epochs, -(-FEWEST_FINAL_STEPS // batches))
    return round(units * (1 + (LONGER - 1) * (1 - share))) if training.weight_decay == "auto" else units


def _begin(task: RunContext, state: RunState, share: float, units: int) -> None:
    fresh = replace(state.progress, finishing=True, final_units=units, since_growth=0, taken_back=0, scale=1.0)
    state.progress = replace(fresh, growth_finished=True, lowest_training=None, over_fit=share)
    if any(node.dropout for node in task.spec.graph.nodes.values()):
        # Its training loss is that of a thinned network, which no score says.
        state.kept = None
    else:
        keep(state, task.score(state.network, task.split.train).loss)
