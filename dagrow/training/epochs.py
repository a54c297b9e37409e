"""Gradient descent between insertions, and scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.units import UNIT_AXIS, unit_axes
from dagrow.data import ReplicaBatch, Samples
from dagrow.distributed import ALONE, Processes
from dagrow.errors import DagrowError, OptimizerError
from dagrow.objectives import OPTIMIZERS, Loss
from dagrow.spec.run import TrainingSpec
from dagrow.training.gradient_rules import FULL_PRECISION, GradientRules, forward


class TrainingError(DagrowError):
    """Training cannot go on: the loss is no number any more."""


@dataclass(frozen=True)
class Objective:
    """A loss over all outputs of a graph: their sum. Callable as ``(output, target) -> scalar``.

    Attributes:
        loss: of one output.
        factor: it is multiplied by.
        weights: ``[classes]``, of the classes of each output; empty where all count alike.
    """

    loss: Loss
    factor: float = 1.0
    weights: tuple[Tensor, ...] = ()

    def __call__(self, output: Any, target: Any) -> Tensor:
        """The sum over outputs of the mean loss of each."""
        if isinstance(output, Tensor):
            output, target = (output,), (target,)
        if self.weights and self.loss.weighted is not None:
            parts = [self.loss.weighted(*each) for each in zip(output, target, self.weights, strict=True)]
        else:
            parts = [self.loss.mean(o, t) for o, t in zip(output, target, strict=True)]
        total = sum(parts[1:], start=parts[0])
        return total if self.factor == 1.0 else self.factor * total

    def right(self, output: Any, target: Any) -> float | None:
        """How many samples are right at every output, maps by the share of their pixels; None for a regression."""
        correct = self.loss.correct
        if correct is None:
            return None
        if isinstance(output, Tensor):
            output, target = (output,), (target,)
        parts = [correct(o, t) for o, t in zip(output, target, strict=True)]
        return float(torch.stack(parts).amin(0).sum())


@dataclass(frozen=True)
class Score:
    """How good a network is on some samples.

    Attributes:
        loss: mean.
        accuracy: share of right samples; None for a regression.
        r2: of a regression, the share of the targets' variance that it explains; None where they have none.
        mae: of a regression, the mean absolute error.
    """

    loss: float
    accuracy: float | None
    r2: float | None = None
    mae: float | None = None

    def __str__(self) -> str:
        shown = (("accuracy", self.accuracy), ("R^2", self.r2), ("MAE", self.mae))
        return f"loss {self.loss:.4f}" + "".join(f", {name} {x:.4f}" for name, x in shown if x is not None)


@dataclass
class _Errors:
    """Sums over the samples of a regression, from which R^2 and the mean absolute error follow.

    Attributes:
        unit: of the errors.
        sums: number of values, of absolute errors, of squared errors, of targets and of their squares.
    """

    unit: float
    sums: Tensor

    def add(self, objective: Objective, output: Any, target: Any) -> None:
        """Takes in a batch."""
        pairs = [(output, target)] if isinstance(output, Tensor) else zip(output, target, strict=True)
        for o, t in pairs:
            assert objective.loss.error is not None
            e, t = objective.loss.error(o, t).double(), t.double()
            parts = (e.abs().sum(), e.square().sum(), t.sum(), t.square().sum())
            self.sums += torch.stack([e.new_tensor(float(e.numel())), *parts]).to(self.sums)

    def result(self, processes: Processes) -> tuple[float | None, float]:
        """R^2 and mean absolute error."""
        count, absolute, squared, total, squares = processes.sums(*self.sums.tolist())
        variance = squares - total**2 / count
        return None if variance <= 1e-12 * squares else 1 - squared / variance, self.unit * absolute / count


def make_optimizer(network: Network, spec: TrainingSpec) -> torch.optim.Optimizer:
    """The optimizer of a run, over all parameters.

    Raises:
        OptimizerError: if its class refuses the value of an option, or there is no parameter.
    """
    name = spec.optimizer.name
    options: dict[str, Any] = {"lr": spec.optimizer.lr, **spec.optimizer.options}
    parameters = list(network.parameters())
    if not parameters:
        raise OptimizerError("the graph has no weights to train")
    stand_in = torch.zeros_like(parameters[0]).requires_grad_()
    stand_in.grad = torch.zeros_like(stand_in)
    try:
        # Some options are refused only by a first step.
        trial = OPTIMIZERS[name]([stand_in], **options)
        trial.step()
        groups = _by_unit_axis(network) if UNIT_AXIS in trial.defaults else parameters
        return OPTIMIZERS[name](groups, **options)
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise OptimizerError(f"the optimizer {name} refuses its options: {error}") from error


def _by_unit_axis(network: Network) -> list[dict[str, Any]]:
    """A group for each axis that may count units, empty ones too: a weight that growth brings has its group then."""
    axes, named = unit_axes(network.dag), list(network.named_parameters())
    return [{"params": [p for name, p in named if axes.get(name, 0) == axis], UNIT_AXIS: axis} for axis in (0, 1)]


def train_epoch(
    network: Network,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    portions: Iterable[ReplicaBatch],
    after_batch: Callable[[], None] = lambda: None,
    step: Callable[[], None] | None = None,
    processes: Processes = ALONE,
    rules: GradientRules = FULL_PRECISION,
) -> float:
    """One pass of gradient descent over the batches; with several processes, each over its part of every batch.

    Args:
        network: to train.
        objective: the loss.
        optimizer: holds the gradients' parameters.
        portions: of the batches, those of this process.
        after_batch: called after each of them.
        step: made in place of the optimizer's own.
        processes: that train it together; all call this alike, and the network keeps its size meanwhile.
        rules: how gradients are computed.

    Returns:
        The mean loss over the pass.

    Raises:
        TrainingError: if the loss is no number.
    """
    network.train()
    parallel = processes.parallel(network)
    total, count, largest = 0.0, 0.0, 0
    for x, y, size, whole in portions:
        if whole == 1 and largest > 1:
            # Batch norm cannot learn from the one sample that is left over.
            continue
        largest = max(largest, whole)
        optimizer.zero_grad(set_to_none=True)
        # Gradients are averaged over processes, whose parts of the batch may differ in size.
        value = rules.backward(parallel, objective, x, y, size * processes.count / whole, processes)
        if not math.isfinite(value):
            raise TrainingError(f"the training loss became {value}: {advice(optimizer)}")
        rules.clip(network)
        (step or optimizer.step)()
        total, count = total + value * size, count + size
        after_batch()
    total, count = processes.sums(total, count)
    return total / max(1, count)


def advice(optimizer: torch.optim.Optimizer) -> str:
    """What to try when the loss is no number."""
    return f"the learning rate {optimizer.param_groups[0]['lr']:g} may be too high"


@torch.no_grad()
def evaluate(
    network: Network, objective: Objective, samples: Samples, batch_size: int, processes: Processes = ALONE
) -> Score:
    """The score in eval mode, each process judging its part of the samples; the network's mode is left as it was."""
    training = network.training
    network.eval()
    total, right, count = 0.0, 0.0, 0.0
    errors = _Errors(objective.factor**0.5, torch.zeros(5, dtype=torch.float64))
    for x, y in samples.part(processes).batches(batch_size):
        output = forward(network, x)
        if objective.loss.error is not None:
            errors.add(objective, output, y)
        size = _size(y)
        total, count = total + float(objective(output, y)) * size, count + size
        right += objective.right(output, y) or 0.0
    network.train(training)
    total, right, count = processes.sums(total, right, count)
    if objective.loss.error is not None:
        return Score(total / count, None, *errors.result(processes))
    return Score(total / count, None if objective.loss.correct is None else right / count)


def _size(y: Any) -> int:
    return len(y) if isinstance(y, Tensor) else len(y[0])
