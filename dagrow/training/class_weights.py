"""How much each class counts in the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.data import TrainTestSplit
from dagrow.errors import DataError, did_you_mean, listed
from dagrow.graph import Dag
from dagrow.objectives import LOSSES
from dagrow.spec import RunSpec


def class_weights(run: RunSpec, split: TrainTestSplit) -> tuple[Tensor, ...]:
    """Per output, the weights of the labels 0, 1, ..., on average 1 over the training samples; empty for none.

    Balanced, each class has the same sum of weights: ``samples / (classes * samples of the class)``.

    Raises:
        DataError: if the run has no classes, or the weights name others.
    """
    told, loss, dag = run.training.class_weights, LOSSES[run.training.loss], Dag.of(run.graph)
    if told is None:
        return ()
    if loss.takes == "numbers":
        raise DataError(f"'class_weights' goes with a loss of classes, not with {loss.name}")
    found = []
    for number, (output, target) in enumerate(zip(dag.spec.outputs, split.train.targets, strict=True)):
        labels = target.flatten()
        if not torch.equal(labels, labels.round()):
            raise DataError("'class_weights' needs labels, and these targets have fractions")
        names = _names(split, number)
        classes = dag.output(output).channels if loss.takes == "labels" else 2
        counts = torch.bincount(labels.long().cpu(), minlength=classes).double()
        weights = _balanced(counts) if told == "balanced" else _named(dict(told), names, len(counts))
        found.append((weights * counts.sum() / (weights * counts).sum()).float().to(target.device))
    return tuple(found)


def _balanced(counts: Tensor) -> Tensor:
    # A class without samples has no weight to be given.
    return torch.where(counts > 0, counts.sum() / counts.clamp(min=1), torch.ones_like(counts))


def _named(told: dict[str, float], names: tuple[str, ...], count: int) -> Tensor:
    names = names or tuple(map(str, range(count)))
    for name in told:
        if name not in names:
            raise DataError(f"'class_weights': no class '{name}'{did_you_mean(name, names)}; there are {listed(names)}")
    found = torch.ones(count, dtype=torch.float64)
    for number, name in enumerate(names):
        found[number] = told.get(name, 1.0)
    return found


def _names(split: TrainTestSplit, number: int) -> tuple[str, ...]:
    preprocessing = split.preprocessing
    if preprocessing is None:
        return ()
    return preprocessing.answers[number].classes if preprocessing.answers else preprocessing.classes
