"""One space grown in a copy of the module: losses at any amplitude are those of the real thing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dagrow.capture import CapturedModule, named_tensors, places
from dagrow.methods import Neurons
from dagrow.module_growth.batches import Part
from dagrow.module_growth.entries import NewChannels, put
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.moments import LossFunction
from dagrow.planner.amplitude import AmplitudeSearch
from dagrow.resize import modes_and_buffers_kept, widen
from dagrow.resize.kept import without_dropout

SMALL = 1e-3
"""Amplitude at which an activation is taken for its line at 0, in units of the pre-activation."""


class Trial:
    """A copy of the module with new, silent channels in one space.

    Args:
        captured: the module; it is not changed.
        flow: of the space.
        count: new channels.
        loss: ``(output, target) -> scalar``.
    """

    def __init__(self, captured: CapturedModule, flow: Flow, count: int, loss: LossFunction) -> None:
        self.flow, self.loss = flow, loss
        self.copy = captured.copied()
        self.widened = widen(self.copy, flow.space, count)

    def put(self, channels: NewChannels) -> None:
        """Gives the new channels their weights."""
        put(self.copy.model, self.widened, self.flow, channels)

    def mean_loss(self, parts: Sequence[Part]) -> float:
        """Over some samples, as the copy is now."""
        return mean_loss(self.copy, self.loss, parts)

    def slopes(self, channels: NewChannels, parts: Sequence[Part]) -> Tensor:
        """``[K]`` of each channel, ``-dL/dg`` at amplitude 0, with the fan-in and activation that it has.

        Args:
            channels: behind a batch norm at their own scale; else looked at where the activation is nearly a line.
            parts: the samples.
        """
        small = 1.0 if channels.norms else SMALL
        self.put(channels.scaled(small, 0.0))
        total = sum(part.count for part in parts)
        tensors = dict(named_tensors(self.copy.model))
        weights = [tensors[reader.map.name] for reader in self.flow.readers]
        sums = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights]
        with modes_and_buffers_kept(self.copy.model), without_dropout():
            for part in parts:
                torch.manual_seed(0)
                found = self.loss(self.copy(part.inputs), part.target)
                for into, gradient in zip(sums, torch.autograd.grad(found, weights), strict=True):
                    into += gradient.double() * part.count / total
        slopes, column = torch.zeros(len(channels.omega), dtype=torch.float64), 0
        for reader, gradient in zip(self.flow.readers, sums, strict=True):
            axis = reader.map.in_axis
            new = places(self.widened.start.analysis.tensors[reader.map.name][axis], self.widened.start.growth).new
            block = gradient.index_select(axis, new.nonzero().squeeze(1).to(gradient.device))
            for other, dim in enumerate(self.widened.start.analysis.tensors[reader.map.name]):
                if other != axis:
                    old = (~places(dim, self.widened.start.growth).new).nonzero().squeeze(1).to(gradient.device)
                    block = block.index_select(other, old)
            matrix = reader.block.matrix(block, axis).cpu()
            omega = channels.omega[:, column : column + matrix.shape[1]].double().cpu()
            column += matrix.shape[1]
            slopes -= (matrix * omega).sum(1)
        return slopes / small

    def search(self, channels: NewChannels, slope: float, parts: Sequence[Part], start: float) -> AmplitudeSearch:
        """Looks for the amplitude of the lowest loss.

        Args:
            channels: at amplitude 1.
            slope: ``-dL/dg`` at amplitude 0.
            parts: the samples that decide.
            start: their loss without the channels.
        """
        scale = abs(start) / slope if slope > 0 and math.isfinite(slope) and start else 1.0
        search = AmplitudeSearch(scale=scale, start=start)
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
            torch.manual_seed(0)
            total += float(loss(captured(part.inputs), part.target)) * part.count
    return total / sum(part.count for part in parts)


@torch.no_grad()
def new_channels(
    captured: CapturedModule, flow: Flow, neurons: Neurons, size: Tensor, parts: Sequence[Part]
) -> NewChannels:
    """Neurons as channels: behind batch norms of unit size, with means and variances measured there.

    Args:
        captured: the module.
        flow: of the space.
        neurons: that a method made.
        size: ``[K]`` root mean square of their pre-activations.
        parts: the samples that they are made of.
    """
    alpha, omega = neurons.alpha, neurons.omega
    if not flow.norms:
        return NewChannels(alpha, omega, {})
    size = size.clamp(min=torch.finfo(size.dtype).tiny)
    alpha, omega = alpha / size, omega * size.unsqueeze(1)
    sums: dict[str, tuple[Tensor, Tensor, float]] = {}
    tensors = dict(named_tensors(captured.model))
    counts = flow.feature_counts(tensors)
    for part in parts:
        _, values = captured.program.run(part.inputs, flow.wanted)
        reached = _moved(flow, alpha, counts, tensors, values)
        for norm in flow.norms:
            if norm.x not in reached:
                continue
            rows = reached[norm.x].double().movedim(1, -1).flatten(0, -2)
            mean, square, number = sums.get(norm.node.name, (0.0, 0.0, 0.0))
            sums[norm.node.name] = (mean + rows.sum(0), square + rows.square().sum(0), number + len(rows))
    norms = {}
    for norm in flow.norms:
        if norm.node.name not in sums:
            zero = alpha.new_zeros(alpha.shape[1])
            norms[norm.node.name] = (zero, zero + 1)
            continue
        total, square, number = sums[norm.node.name]
        mean = total / number
        norms[norm.node.name] = (mean, (square / number - mean.square()).clamp(min=0) * number / max(1, number - 1))
    return NewChannels(alpha, omega, norms)


def _moved(
    flow: Flow, alpha: Tensor, counts: list[int], tensors: dict[str, Tensor], values: dict[torch.fx.Node, Tensor]
) -> dict[torch.fx.Node, Tensor]:
    """The new channels at every node that they reach, of all writers together."""
    blocks = torch.split(alpha, [*counts, len(alpha) - sum(counts)])
    constants = iter(blocks[-1])
    found: dict[torch.fx.Node, Tensor] = {}
    for writer, block in zip(flow.writers, blocks, strict=False):
        weight = tensors[writer.name]
        start = writer.apply(values[writer.x], writer.weight(block.T.to(weight), weight))
        if writer.bias is not None:
            shape = [1] * start.dim()
            shape[writer.channels] = -1
            start = start + next(constants).to(start).view(shape)
        for node, value in flow.run(writer, start, values).items():
            found[node] = found[node] + value if node in found else value
    return found
