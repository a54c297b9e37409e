"""What an insertion was worth in the end: the network some gradient steps later, beside a twin that did not grow."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice, repeat
from typing import Any

import torch

from dagrow.build import Network
from dagrow.build.network import derived_seed
from dagrow.data import Portion
from dagrow.spec import RunSpec
from dagrow.training.epochs import Score, TrainingError, train_epoch
from dagrow.training.sampling import training_batch
from dagrow.training.state import RunState, Task


@dataclass(frozen=True)
class Twin:
    """A copy of network and optimizer, which goes its own way."""

    network: Network
    optimizer: torch.optim.Optimizer

    @classmethod
    def of(cls, state: RunState) -> Twin:
        """As they are now."""
        return cls(*copy.deepcopy((state.network, state.optimizer)))


def calibrate(task: Task, before: Twin, state: RunState, number: int) -> dict[str, Any]:
    """Trains a copy of the grown network and the twin on the same batches; the run itself goes on as if nothing was.

    Both take the gradient steps that the run takes between growth steps, at least those of one pass: plain ones,
    without warm-up, penalties and units that come and go.

    Args:
        task: the run.
        before: the network as it was before the growth step.
        state: after it.
        number: of the growth step, from 1.

    Returns:
        What the journal says of it.
    """
    steps = _steps(task.spec, len(task.split.train), state.network)
    with torch.random.fork_rng(devices=[state.device] if state.device.type == "cuda" else []):
        grown, twin = (_later(task, own, steps, number) for own in (Twin.of(state), before))
    entries: dict[str, Any] = {"step": number, "steps": steps, "gain": None, "test_gain": None}
    if grown is not None and twin is not None:
        entries["gain"], entries["test_gain"] = (a.loss - b.loss for a, b in zip(twin, grown, strict=True))
    for name, scores in (("grown", grown), ("twin", twin)):
        entries[name] = None if scores is None else {"train": asdict(scores[0]), "test": asdict(scores[1])}
    return entries


def _steps(spec: RunSpec, samples: int, network: Network) -> int:
    if spec.growth.schedule == "steps":
        return spec.training.steps_between_growth
    return max(1, spec.training.epochs_between_growth) * -(-samples // training_batch(spec, network.dag))


def _later(task: Task, own: Twin, steps: int, number: int) -> tuple[Score, Score] | None:
    """Scores on training and test samples after so many steps; None if the loss becomes no number.

    Raises:
        TrainingError: of several processes: the others could not know, and would wait for this one.
    """
    seed = derived_seed(task.spec.seed, f"calibration {number}")
    torch.manual_seed(seed)
    batches = _batches(task, own.network, torch.Generator().manual_seed(seed))
    try:
        train_epoch(own.network, task.objective, own.optimizer, islice(batches, steps), processes=task.processes)
    except TrainingError as error:
        if task.processes.count > 1:
            raise TrainingError(f"growth.calibrate, in a copy of the network: {error}") from error
        return None
    return task.score(own.network, task.split.train), task.score(own.network, task.split.test)


def _batches(task: Task, network: Network, order: torch.Generator) -> Iterator[Portion]:
    size = training_batch(task.spec, network.dag)
    passes = (task.split.train.shuffled_batches(size, order, task.processes).portions() for _ in repeat(None))
    return chain.from_iterable(passes)
