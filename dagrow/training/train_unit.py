"""One unit of training: a pass over the training set, or as many gradient steps as the schedule wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any

from dagrow.build import Network
from dagrow.data import ReplicaBatch
from dagrow.graph import training_macs
from dagrow.spec import RunSpec
from dagrow.training.epochs import train_epoch
from dagrow.training.extensions import extensions_of
from dagrow.training.gradient_rules import GradientRules
from dagrow.training.progress import Progress
from dagrow.training.replicas import seed_replica
from dagrow.training.sample_sizes import training_batch
from dagrow.training.schedules import gradient_steps, schedule_of
from dagrow.training.state import RunContext, RunState
from dagrow.training.warm_up import WarmUp


@dataclass(frozen=True)
class UnitResult:
    """What a unit of training did.

    Attributes:
        loss: mean over its samples, each as it was when it was looked at.
        removed: units that were taken away meanwhile.
        entries: what the journal says of it.
    """

    loss: float
    removed: int
    entries: dict[str, Any]


def train_unit(task: RunContext, state: RunState) -> UnitResult:
    """Trains the network for one unit.

    Raises:
        TrainingError: if the loss is no number.
    """
    spec, network, train = task.spec, state.network, task.split.train
    size = training_batch(spec, network.dag)
    steps = gradient_steps(spec, state.progress, -(-len(train) // size))
    passes = (train.shuffled_batches(size, state.order, task.processes).portions() for _ in repeat(None))
    batches = islice(chain.from_iterable(passes), steps)
    extensions = extensions_of(spec, state, steps)
    seed_replica(task, state)
    seen = _Seen(network)
    warm_up = WarmUp(state.optimizer, spec.growth.warm_up, state.progress.step > 0)

    def after_batch() -> None:
        for extension in extensions:
            extension.after_batch()
        state.average.after_step(network)

    loss = train_epoch(
        network,
        task.objective,
        state.optimizer,
        seen.of(batches),
        after_batch,
        step=warm_up.step,
        processes=task.processes,
        rules=GradientRules.of(spec.training),
    )
    state.learning_rate.after_epoch(loss)
    entries = {"running_loss": loss, "samples": seen.samples, "work": seen.work}
    for extension in extensions:
        entries |= extension.entries()
    return UnitResult(loss, sum(extension.removed_count() for extension in extensions), entries)


def steps_between_growth(spec: RunSpec, samples: int, network: Network) -> int:
    """Gradient steps from one growth step to the next; those of a pass where the run makes none."""
    units, batches = schedule_of(spec).planned(spec), -(-samples // training_batch(spec, network.dag))
    return max(1, units) * gradient_steps(spec, Progress(), batches)


class _Seen:
    """Counts samples on their way, those of all processes, and what it costs to learn from them.

    Units may come and go meanwhile.
    """

    def __init__(self, network: Network) -> None:
        self.network, self.samples, self.work = network, 0, 0
        self._spec, self._each = network.spec, training_macs(network.dag)

    def of(self, portions: Iterable[ReplicaBatch]) -> Iterator[ReplicaBatch]:
        for portion in portions:
            if self.network.spec is not self._spec:
                self._spec, self._each = self.network.spec, training_macs(self.network.dag)
            self.samples, self.work = self.samples + portion.whole, self.work + portion.whole * self._each
            yield portion
