"""The simple loop: train an epoch, widen the space that gains most, go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel

from dagrow.capture import CapturedModule, batch_size, from_module
from dagrow.errors import DataError, GrowthError
from dagrow.module_growth.candidate import to_insert
from dagrow.module_growth.journal_entries import (
    GrowthRecord,
    candidate_entry,
    growth_record,
    insertion_of,
    loss_of,
    plan_entry,
)
from dagrow.module_growth.propose import apply_to_module, propose_for_module
from dagrow.module_growth.record import ModuleRecord
from dagrow.module_growth.resume import opened
from dagrow.module_growth.settings import LoopSettings
from dagrow.module_growth.trained_parts import TrainedParts
from dagrow.module_growth.two_looks import LossFunction

Report = Callable[[str], Any]


@dataclass(frozen=True)
class GrownModule:
    """A module that was trained and grown in place.

    Attributes:
        captured: the module and its spaces; `captured.model` is the object that was given.
        losses: mean training loss of each epoch.
        growth: the growth steps.
        events: of the journal.
    """

    captured: CapturedModule
    losses: tuple[float, ...]
    growth: tuple[GrowthRecord, ...] = field(default=())
    events: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

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
    directory: str | Path | None = None,
    resume: bool | Literal["if_begun"] = False,
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
        directory: new or empty; gets a journal, a checkpoint after each epoch and the state after each growth step.
        resume: continues the run in ``directory``: a module, optimizer, scheduler and averages made anew, as they were
            before growth, get the state that was kept, on the same machine with as many threads to the same bits. A run
            that has ended is loaded, and nothing is trained. ``"if_begun"`` starts the run where none has begun.

    Raises:
        CaptureError: if the module cannot be captured.
        GrowthError: if none of its spaces can grow.
        DataError: if there are no batches.
        RunError: if the directory holds something already, or another run than the one to be continued; if its files
            are damaged, or something of the optimizer or scheduler cannot be kept.
    """
    first = next(iter(train), None)
    if not isinstance(first, (tuple, list)) or len(first) != 2:
        raise DataError("the data must yield (inputs, target) pairs, one per batch")
    until = 2 * epochs // 3 if until is None else min(until, epochs - 1)
    settings = LoopSettings(
        epochs, every, until, neurons, silent, samples, None if spaces is None else tuple(spaces), method, multiple_of,
        max_parameters, seed,
    )  # fmt: skip
    own = model.model if isinstance(model, CapturedModule) else model
    parts = TrainedParts(own, optimizer, scheduler, averages, train)
    say: Report = report or (lambda _: None)
    with opened(parts, settings, directory, resume, say) as run:
        captured = model if isinstance(model, CapturedModule) else from_module(model, first[0])
        captured.outdated |= run.checkpoint is not None
        if not captured.growable:
            raise GrowthError("no space of this module can grow; print what dagrow.from_module gives for the reasons")
        run.begin(captured)
        if not run.ended:
            _Loop(captured, parts, loss, settings, run.record, say).run()
    events = tuple(run.record.journal.events)
    losses = tuple(loss_of(event) for event in events if event["event"] == "epoch")
    return GrownModule(captured, losses, tuple(growth_record(e) for e in events if e["event"] == "growth"), events)


class _Loop:
    """Epochs and growth steps, from where the record stands."""

    def __init__(
        self,
        captured: CapturedModule,
        parts: TrainedParts,
        loss: LossFunction,
        settings: LoopSettings,
        record: ModuleRecord,
        say: Report,
    ) -> None:
        self.captured, self.parts, self.loss, self.settings = captured, parts, loss, settings
        self.record, self.say = record, say

    def run(self) -> None:
        """To the end."""
        losses = [loss_of(event) for event in self.record.journal.events if event["event"] == "epoch"]
        for epoch in range(self.record.epoch + 1, self.settings.epochs + 1):
            began = time.perf_counter()
            loss, samples = self._epoch()
            losses.append(loss)
            if self.parts.scheduler is not None:
                self.parts.scheduler.step()
            self.record.after_epoch(loss, time.perf_counter() - began, samples)
            self.say(f"epoch {epoch}: loss {loss:.5g}")
            grown = self.settings.grows_after(epoch, self.parts.parameter_count) and self._grow(epoch, loss)
            self.record.close_epoch(self.captured, grown)
        self.captured.model.train()
        self.record.finish(self.captured, losses[-1])

    def _epoch(self) -> tuple[float, int]:
        """A pass of gradient descent: the mean loss, and how many samples there were."""
        self.captured.model.train()
        total, count = 0.0, 0
        for inputs, target in self.parts.train:
            self.parts.optimizer.zero_grad()
            found: Tensor = self.loss(self.captured(inputs), target)
            torch.autograd.backward(found)
            self.parts.optimizer.step()
            size = batch_size(inputs)
            total, count = total + float(found.detach()) * size, count + size
        if not count:
            raise DataError("the data hold no batches")
        return total / count, count

    def _grow(self, epoch: int, epoch_loss: float) -> bool:
        """A growth step: whether something was inserted."""
        began = time.perf_counter()
        self.captured.model.eval()
        data = _first(self.parts.train, self.settings.samples)
        plan = propose_for_module(self.captured, self.loss, data, **self.settings.proposal(epoch))
        (best, reason), silent = to_insert(plan), self.settings.silent
        if best is not None:
            held = self.parts.optimizer
            apply_to_module(self.captured, best, held, averages=self.parts.averages, silent=silent)
            held.zero_grad()
        event = self.record.after_growth(
            self.captured,
            epoch_loss,
            time.perf_counter() - began,
            plan=plan_entry(plan),
            inserted=None if best is None else candidate_entry(best),
            **({"reason": reason} if best is None else {"insert": insertion_of(best, silent)}),
        )
        self.say(f"  {growth_record(event)}")
        return best is not None


def _first(train: Iterable[Any], samples: int) -> list[Any]:
    found: list[Any] = []
    count = 0
    for batch in train:
        found.append(batch)
        count += batch_size(batch[0])
        if count >= samples:
            break
    return found
