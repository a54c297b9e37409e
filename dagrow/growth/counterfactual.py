"""Copies of a run's network that train on for a while, beside the run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat

import torch

from dagrow.build import Network
from dagrow.build.network import derived_seed
from dagrow.data import ReplicaBatch
from dagrow.flop_counter import spend
from dagrow.graph import training_macs
from dagrow.randomness import torch_random_numbers_kept
from dagrow.spec import RunSpec
from dagrow.training.epochs import TrainingError, train_epoch
from dagrow.training.gradient_rules import GradientRules
from dagrow.training.progress import Progress
from dagrow.training.sample_sizes import training_batch
from dagrow.training.schedules import gradient_steps, schedule_of
from dagrow.training.state import RunContext, RunState


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
            torch.manual_seed(seed)
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


def steps_between_growth(spec: RunSpec, samples: int, network: Network) -> int:
    """Gradient steps from one growth step to the next; those of a pass where the run makes none."""
    units, batches = schedule_of(spec).planned(spec), -(-samples // training_batch(spec, network.dag))
    return max(1, units) * gradient_steps(spec, Progress(), batches)


def _batches(task: RunContext, network: Network, order: torch.Generator) -> Iterator[ReplicaBatch]:
    size, work = training_batch(task.spec, network.dag), training_macs(network.dag)
    passes = (task.split.train.shuffled_batches(size, order, task.processes).portions() for _ in repeat(None))
    for portion in chain.from_iterable(passes):
        spend(work * portion[2])
        yield portion
