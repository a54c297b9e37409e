"""Copies of a run's network that train on beside it: what an insertion was worth, which candidate is worth most."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, islice, repeat
from typing import Any

import torch

from dagrow.build import Network
from dagrow.build.network import derived_seed
from dagrow.data import ReplicaBatch
from dagrow.flop_counter import spend
from dagrow.graph import training_macs
from dagrow.growth.insertion_mode import insert
from dagrow.planner import Candidate, promise, rounding
from dagrow.randomness import seed_torch, torch_random_numbers_kept
from dagrow.ties import best_first
from dagrow.training.epochs import Score, TrainingError, train_epoch
from dagrow.training.gradient_rules import GradientRules
from dagrow.training.sample_sizes import training_batch
from dagrow.training.state import RunContext, RunState
from dagrow.training.train_unit import steps_between_growth


@dataclass(frozen=True)
class Counterfactual:
    """A copy of network and optimizer, which goes its own way."""

    network: Network
    optimizer: torch.optim.Optimizer

    @classmethod
    def of(cls, state: RunState) -> Counterfactual:
        """As they are now."""
        return cls(*copy.deepcopy((state.network, state.optimizer)))

    def train(self, task: RunContext, steps: int, purpose: str) -> bool:
        """Takes gradient steps, plain ones: without warm-up, penalties and units that come and go.

        The run's own random numbers stay where they are; twins of one purpose see the same batches.

        Args:
            task: the run.
            steps: how many.
            purpose: seeds the order of the batches.

        Returns:
            Whether the loss was a number all along.

        Raises:
            TrainingError: of several processes, where it was not: the others could not know, and would wait for this
                one.
        """
        seed = derived_seed(task.spec.seed, purpose)
        with torch_random_numbers_kept():
            seed_torch(seed)
            batches = islice(_batches(task, self.network, torch.Generator().manual_seed(seed)), steps)
            rules = GradientRules.of(task.spec.training)
            try:
                train_epoch(
                    self.network, task.objective, self.optimizer, batches, processes=task.processes, rules=rules
                )
            except TrainingError as error:
                if task.processes.count > 1:
                    raise TrainingError(f"{purpose}, in a copy of the network: {error}") from error
                return False
        return True


def _batches(task: RunContext, network: Network, order: torch.Generator) -> Iterator[ReplicaBatch]:
    size, work = training_batch(task.spec, network.dag), training_macs(network.dag)
    passes = (task.split.train.shuffled_batches(size, order, task.processes).portions() for _ in repeat(None))
    for portion in chain.from_iterable(passes):
        spend(work * portion[2])
        yield portion


def measure_later_gain(task: RunContext, before: Counterfactual, state: RunState, number: int) -> dict[str, Any]:
    """Trains a copy of the grown network and the twin on the same batches; the run itself goes on as if nothing was.

    Both take the gradient steps that the run takes between growth steps, at least those of one pass.

    Args:
        task: the run.
        before: the network as it was before the growth step.
        state: after it.
        number: of the growth step, from 1.

    Returns:
        What the journal says of it.
    """
    steps = steps_between_growth(task.spec, len(task.split.train), state.network)
    grown, twin = (_later(task, own, steps, number) for own in (Counterfactual.of(state), before))
    entries: dict[str, Any] = {"step": number, "steps": steps, "gain": None, "test_gain": None}
    if grown is not None and twin is not None:
        entries["gain"], entries["test_gain"] = (a.loss - b.loss for a, b in zip(twin, grown, strict=True))
    for name, scores in (("grown", grown), ("twin", twin)):
        entries[name] = None if scores is None else {"train": asdict(scores[0]), "test": asdict(scores[1])}
    return entries


def _later(task: RunContext, own: Counterfactual, steps: int, number: int) -> tuple[Score, Score] | None:
    """Scores on training and test samples after so many steps; None if the loss becomes no number."""
    if not own.train(task, steps, f"calibration {number}"):
        return None
    return task.score(own.network, task.split.train), task.score(own.network, task.split.test)


def choose_by_training(
    task: RunContext, state: RunState, ranked: Sequence[Candidate], number: int
) -> tuple[Candidate | None, list[dict[str, Any]]]:
    """Trains copies of the network, one with each of the best candidates, and one as it is; the run is not touched.

    All see the same batches. The gain of a candidate is the training loss of the network as it is, less that of the
    grown one, both after these steps, and ``growth.where`` says what it is divided by.

    Args:
        task: the run, with ``growth.trial_training``.
        state: before the growth step.
        ranked: candidates that may be made, best first.
        number: of the growth step, from 1.

    Returns:
        The best; None where none has gained; the first where the network as it is cannot be trained on. And what the
        journal says of each that was tried.
    """
    growth = task.spec.growth
    assert growth.trial_training is not None
    steps = growth.trial_training.steps or steps_between_growth(task.spec, len(task.split.train), state.network)
    start = _loss(task, Counterfactual.of(state), steps, number)
    told: list[dict[str, Any]] = []
    gained: list[tuple[int, Candidate, float]] = []
    for rank, candidate in enumerate(best_of_each_type(ranked, growth.trial_training.candidates)):
        own = Counterfactual.of(state)
        insert(task, own.network, candidate, own.optimizer)
        gain = start - _loss(task, own, steps, number)
        entry = {"kind": candidate.kind, "place": candidate.place, "steps": steps}
        told.append({**entry, "gain": gain if math.isfinite(gain) else None})
        if gain > 0:
            gained.append((rank, candidate, gain))
    if not math.isfinite(start):
        return ranked[0], told
    best = best_first(
        gained,
        lambda each: promise(growth.where, each[2], *each[1].cost),
        lambda each: each[0],
        lambda each: rounding(growth.where, start, *each[1].cost),
    )
    return (best[0][1] if best else None), told


def best_of_each_type(ranked: Sequence[Candidate], count: int) -> list[Candidate]:
    """The best of each kind, then the next best of each, at most so many."""
    seen: dict[str, int] = {}
    order = []
    for rank, candidate in enumerate(ranked):
        seen[candidate.kind] = seen.get(candidate.kind, 0) + 1
        order.append((seen[candidate.kind], rank))
    return [ranked[rank] for _, rank in sorted(order)[:count]]


def _loss(task: RunContext, own: Counterfactual, steps: int, number: int) -> float:
    """The training loss after some steps; infinite if it became no number."""
    if not own.train(task, steps, f"growth.trial_training in step {number}"):
        return math.inf
    loss = task.score(own.network, task.split.train).loss
    return loss if math.isfinite(loss) else math.inf
