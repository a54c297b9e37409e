"""One unit of training: a pass over the training set, or as many gradient steps as the schedule wants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any

from dagrow.graph import training_work
from dagrow.training.epochs import train_epoch
from dagrow.training.progress import gradient_steps
from dagrow.training.sampling import training_batch
from dagrow.training.state import RunState, Task
from dagrow.training.warm_up import WarmUp


@dataclass(frozen=True)
class Descent:
    """What a unit of training did.

    Attributes:
        loss: mean over its samples, each as it was when it was looked at.
        samples: that were looked at.
        work: multiply-adds, see `training_work`.
    """

    loss: float
    samples: int
    work: int


def descend(task: Task, state: RunState) -> Descent:
    """Trains the network for one unit.

    Raises:
        TrainingError: if the loss is no number.
    """
    spec, network, train = task.spec, state.network, task.split.train
    size = training_batch(spec, network.dag)
    steps = gradient_steps(spec, state.progress)
    passes = (train.shuffled_batches(size, state.order) for _ in repeat(None))
    batches = next(passes) if steps is None else islice(chain.from_iterable(passes), steps)
    seen = _Seen()
    warm_up = WarmUp(state.optimizer, spec.growth.warm_up, state.progress.step > 0)
    loss = train_epoch(network, task.objective, state.optimizer, seen.of(batches), step=warm_up.step)
    return Descent(loss, seen.samples, seen.samples * training_work(network.dag))


class _Seen:
    """Counts samples on their way."""

    def __init__(self) -> None:
        self.samples = 0

    def of(self, batches: Any) -> Iterator[Any]:
        for x, y in batches:
            self.samples += len(y if hasattr(y, "shape") else y[0])
            yield x, y
