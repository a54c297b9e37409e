"""The simple loop: train an epoch, widen the space that gains most, go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from dagrow.capture import CapturedModule, batch_size, from_module
from dagrow.errors import DataError, GrowthError
from dagrow.module_growth.moments import LossFunction
from dagrow.module_growth.propose import apply_to_module, propose_for_module

Report = Callable[[str], Any]


@dataclass(frozen=True)
class GrowthRecord:
    """One growth step.

    Attributes:
        epoch: after which it came, from 1.
        space: that grew; the empty string if none did.
        channels: new ones.
        size: of the space afterwards.
        gain: measured drop of the loss.
        parameters: of the module afterwards.
    """

    epoch: int
    space: str
    channels: int
    size: int
    gain: float
    parameters: int

    def __str__(self) -> str:
        if not self.space:
            return "no space gains"
        return f"{self.space}: {self.channels} more channels, {self.size} in all, gain {self.gain:.5g}"


@dataclass(frozen=True)
class GrownModule:
    """A module that was trained and grown in place.

    Attributes:
        captured: the module and its spaces; `captured.model` is the object that was given.
        losses: mean training loss of each epoch.
        growth: the growth steps.
    """

    captured: CapturedModule
    losses: tuple[float, ...]
    growth: tuple[GrowthRecord, ...] = field(default=())

    @property
    def model(self) -> nn.Module:
        """The module."""
        return self.captured.model


def grow_module(
    model: nn.Module | CapturedModule,
    optimizer: torch.optim.Optimizer,
    loss: LossFunction,
    train: Iterable[Any],
    *,
    epochs: int = 10,
    every: int = 1,
    until: int | None = None,
    neurons: int = 8,
    silent: bool = False,
    samples: int = 1024,
    spaces: Sequence[str] | None = None,
    method: str = "tiny",
    multiple_of: int = 1,
    max_parameters: int | None = None,
    scheduler: LRScheduler | None = None,
    averages: Sequence[AveragedModel] = (),
    seed: int = 0,
    report: Report | None = None,
) -> GrownModule:
    """Trains a module of one's own and widens it in place between epochs, where that lowers the loss most.

    Args:
        model: the module, or what `dagrow.from_module` made of it.
        optimizer: over its parameters; goes along.
        loss: ``(output, target) -> scalar``, the mean over the batch.
        train: batches ``(inputs, target)``, looked through once per epoch.
        epochs: of training.
        every: epochs between two growth steps; the last epoch is followed by none.
        until: the last epoch after which it grows; two thirds of them if left out.
        neurons: new channels in a step.
        silent: new channels start with outgoing weights of 0, so that the function is kept.
        samples: that a growth step looks at, the first ones of ``train``.
        spaces: names of the only spaces that may grow.
        method: how new weights are made.
        multiple_of: sizes are multiples of this after growth.
        max_parameters: once the module has so many it no longer grows.
        scheduler: stepped after each epoch.
        averages: of the weights, which go along; not updated here.
        seed: of weights that are drawn.
        report: is given a line per epoch and growth step.

    Raises:
        CaptureError: if the module cannot be captured.
        GrowthError: if none of its spaces can grow.
        DataError: if there are no batches.
    """
    first = next(iter(train), None)
    if not isinstance(first, (tuple, list)) or len(first) != 2:
        raise DataError("the data must yield (inputs, target) pairs, one per batch")
    captured = model if isinstance(model, CapturedModule) else from_module(model, first[0])
    if not captured.growable:
        raise GrowthError("no space of this module can grow; print what dagrow.from_module gives for the reasons")
    if epochs < 1 or every < 1:
        raise GrowthError(f"epochs and every are whole numbers from 1 on, not {epochs!r} and {every!r}")
    until = 2 * epochs // 3 if until is None else min(until, epochs - 1)
    losses: list[float] = []
    records: list[GrowthRecord] = []
    for epoch in range(1, epochs + 1):
        losses.append(_epoch(captured, optimizer, loss, train))
        if scheduler is not None:
            scheduler.step()
        if report is not None:
            report(f"epoch {epoch}: loss {losses[-1]:.5g}")
        if epoch > until or epoch % every or (max_parameters is not None and _count(captured) >= max_parameters):
            continue
        record = _grown(
            captured, optimizer, loss, _first(train, samples), epoch, averages, silent,
            {"spaces": spaces, "method": method, "neurons": neurons, "multiple_of": multiple_of, "seed": seed + epoch},
        )  # fmt: skip
        records.append(record)
        if report is not None:
            report(f"  {record}")
    return GrownModule(captured, tuple(losses), tuple(records))


def _epoch(
    captured: CapturedModule, optimizer: torch.optim.Optimizer, loss: LossFunction, train: Iterable[Any]
) -> float:
    captured.model.train()
    total, count = 0.0, 0
    for inputs, target in train:
        optimizer.zero_grad()
        found: Tensor = loss(captured(inputs), target)
        torch.autograd.backward(found)
        optimizer.step()
        size = batch_size(inputs)
        total, count = total + float(found.detach()) * size, count + size
    if not count:
        raise DataError("the data hold no batches")
    return total / count


def _grown(
    captured: CapturedModule,
    optimizer: torch.optim.Optimizer,
    loss: LossFunction,
    data: list[Any],
    epoch: int,
    averages: Sequence[AveragedModel],
    silent: bool,
    options: dict[str, Any],
) -> GrowthRecord:
    captured.model.eval()
    plan = propose_for_module(captured, loss, data, **options)
    best = plan.best
    if best is None or (best.weights is None and options["method"] == "tiny"):
        return GrowthRecord(epoch, "", 0, 0, 0.0, _count(captured))
    size = captured.space(best.space).size
    apply_to_module(captured, best, optimizer, averages=averages, silent=silent)
    optimizer.zero_grad()
    return GrowthRecord(epoch, best.space, best.channels, size + best.channels, best.gain, _count(captured))


def _first(train: Iterable[Any], samples: int) -> list[Any]:
    found: list[Any] = []
    count = 0
    for batch in train:
        found.append(batch)
        count += batch_size(batch[0])
        if count >= samples:
            break
    return found


def _count(captured: CapturedModule) -> int:
    return sum(parameter.numel() for parameter in captured.model.parameters())
