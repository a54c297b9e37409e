"""One space grown in a copy of the module: losses at any amplitude are those of the real thing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from dagrow.capture import CapturedModule, Space, named_tensors
from dagrow.module_growth.batches import Part
from dagrow.module_growth.entries import Entries, NewChannels, fan_outs
from dagrow.module_growth.two_looks import LossFunction
from dagrow.module_growth.weight_limit import largest_amplitude, new_entries, relative_sizes
from dagrow.planner.amplitude import AmplitudeSearch
from dagrow.randomness import seed_torch
from dagrow.resize import Widened, modes_and_buffers_kept, widen
from dagrow.resize.kept import without_dropout

SMALL = 1e-3
"""Amplitude at which an activation is taken for its line at 0, in units of the pre-activation."""


class Insertion(Protocol):
    """New channels with weights."""

    @property
    def count(self) -> int:
        """How many."""

    @property
    def silent(self) -> Insertion:
        """At amplitude 0, with weights that can be trained."""

    def at(self, amplitude: float) -> Insertion:
        """At an amplitude."""

    def put(self, model: nn.Module, widened: Widened) -> None:
        """Gives the new entries of a widened module their values."""


class Trial:
    """A copy of the module with new, silent channels in one space.

    Args:
        captured: the module; it is not changed.
        space: that grows.
        count: new channels.
        loss: ``(output, target) -> scalar``.
    """

    def __init__(self, captured: CapturedModule, space: Space, count: int, loss: LossFunction) -> None:
        self.loss = loss
        self.copy = captured.copied()
        self.widened = widen(self.copy, space, count)

    @property
    def added(self) -> int:
        """Parameters more than before."""
        return sum(t.new.numel() - t.old.numel() for t in self.widened.tensors if isinstance(t.new, nn.Parameter))

    def put(self, channels: Insertion) -> None:
        """Gives the new channels their weights."""
        channels.put(self.copy.model, self.widened)

    def mean_loss(self, parts: Sequence[Part]) -> float:
        """Over some samples, as the copy is now."""
        return mean_loss(self.copy, self.loss, parts)

    def slopes(self, channels: NewChannels, parts: Sequence[Part]) -> Tensor:
        """``[K]`` of each channel, ``-dL/dg`` at amplitude 0, with the fan-in and activation that it has.

        Args:
            channels: behind a batch norm at their own scale; else looked at where the activation is nearly a line.
            parts: the samples.
        """
        small = SMALL if channels.powers[0] else 1.0
        self.put(channels.scaled(small, 0.0))
        total = sum(part.count for part in parts)
        tensors = dict(named_tensors(self.copy.model))
        weights = [tensors[reader.map.name] for reader in channels.flow.readers]
        sums = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights]
        with modes_and_buffers_kept(self.copy.model), without_dropout():
            for part in parts:
                seed_torch(0)
                found = self.loss(self.copy(part.inputs), part.target)
                for into, gradient in zip(sums, torch.autograd.grad(found, weights), strict=True):
                    into += gradient.double() * part.count / total
        entries = Entries(self.widened, channels.flow.space.name)
        slopes = torch.zeros(channels.count, dtype=torch.float64)
        outs = fan_outs(channels.flow, channels.omega, tensors, entries)
        for reader, gradient, block in zip(channels.flow.readers, sums, outs, strict=True):
            axis = reader.map.in_axis
            product = entries.new(reader.map.name, gradient, axis) * block.to(gradient)
            slopes -= reader.block.matrix(product, axis).sum(1).cpu()
        return slopes / small

    def largest(self, channels: Insertion, scale: float = 1.0) -> float:
        """The amplitude beyond which new weights would be too large for a gradient step, see `weight_limit`.

        Args:
            channels: at amplitude 1.
            scale: an amplitude of the order of those of interest.
        """

        def sizes(amplitude: float) -> dict[str, float]:
            self.put(channels.at(amplitude))
            return relative_sizes(self.copy.model, self.widened, silent)

        self.put(channels.at(0.0))
        silent = new_entries(self.copy.model, self.widened)
        return largest_amplitude(sizes(scale), sizes(4 * scale), scale)

    def search(self, channels: Insertion, slope: float, parts: Sequence[Part], start: float) -> AmplitudeSearch:
        """Looks for the amplitude of the lowest loss, among those at which new weights are not too large.

        Args:
            channels: at amplitude 1.
            slope: ``-dL/dg`` at amplitude 0.
            parts: the samples that decide.
            start: their loss without the channels.
        """
        scale = abs(start) / slope if slope > 0 and math.isfinite(slope) and start else 1.0
        search = AmplitudeSearch(scale=scale, start=start, largest=self.largest(channels, scale) / scale)
        while asked := search.ask():
            found = {}
            for relative in asked:
                self.put(channels.at(relative * scale))
                found[relative] = self.mean_loss(parts)
            search.tell(found)
        return search


@torch.no_grad()
def mean_loss(captured: CapturedModule, loss: LossFunction, parts: Sequence[Part]) -> float:
    """The mean loss over some samples, in the module's mode, without dropout; buffers stay as they are."""
    total = 0.0
    with modes_and_buffers_kept(captured.model), without_dropout():
        for part in parts:
            seed_torch(0)
            total += float(loss(captured(part.inputs), part.target)) * part.count
    return total / sum(part.count for part in parts)
