"""Neurons that a method made, as channels of a space: what norms on the way make of them is taken into account."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dagrow.capture import CapturedModule, Space, named_tensors
from dagrow.methods import Neurons
from dagrow.module_growth.batches import Part
from dagrow.module_growth.entries import NewChannels, rms
from dagrow.module_growth.flow import Flow


def directions(space: Space, count: int) -> int:
    """How many neurons so many new channels of a space can be: one less under a layer norm.

    Args:
        space: that grows.
        count: new channels.
    """
    return count - 1 if space.kind == "layer_norm" else count


def zero_sum(count: int) -> Tensor:
    """``[count, count + 1]`` orthonormal rows, each with the sum 0 (Helmert)."""
    rows = torch.zeros(count, count + 1, dtype=torch.float64)
    for number in range(1, count + 1):
        rows[number - 1, :number] = 1
        rows[number - 1, number] = -number
    found: Tensor = rows / rows.norm(dim=1, keepdim=True)
    return found


@torch.no_grad()
def new_channels(
    captured: CapturedModule, flow: Flow, neurons: Neurons, size: Tensor, parts: Sequence[Part]
) -> NewChannels:
    """Neurons as channels: behind batch and group norms of unit size, with means and variances measured there.

    Under norms over all channels the fan-out is as large as that of the channels that are there. Under a layer norm
    ``K`` neurons are spread over ``K + 1`` channels whose sum is always 0.

    Args:
        captured: the module.
        flow: of the space.
        neurons: that a method made.
        size: ``[K]`` root mean square of their pre-activations.
        parts: the samples that they are made of.
    """
    alpha, omega = neurons.alpha, neurons.omega
    if flow.space.kind == "layer_norm":
        basis = zero_sum(neurons.count).to(alpha)
        alpha, omega = alpha @ basis, basis.T @ omega
    tensors = dict(named_tensors(captured.model))
    if flow.space.kind != "plain":
        side = len(omega) ** 0.5 * _usual_fan_out(flow, tensors) / max(float(omega.norm()), 1e-300)
        return NewChannels(flow, alpha / side, omega * side, {}, (1.0, 0.0))
    if not flow.norms:
        return NewChannels(flow, alpha, omega, {})
    rows = flow.rows[flow.writers[0]]
    if flow.grouped:
        # One size for all entries of a group, which its norm divides by one number.
        size = rows.taken_apart(size).square().mean(0).sqrt()
    size = size.clamp(min=torch.finfo(size.dtype).tiny)
    alpha, omega = alpha / (rows.same(size) if flow.grouped else size), omega * size.unsqueeze(1)
    sums: dict[str, tuple[Tensor, Tensor, float]] = {}
    counts = flow.feature_counts(tensors)
    for part in parts:
        _, values = captured.program.run(part.inputs, flow.wanted)
        reached = _moved(flow, alpha, counts, tensors, values)
        for norm in flow.norms:
            if norm.x not in reached:
                continue
            seen = reached[norm.x].double().movedim(1, -1).flatten(0, -2)
            if flow.grouped:
                # ``[..., K P]``: the entries of a group as samples of one channel.
                seen = seen.view(len(seen), -1, rows.count).transpose(1, 2).flatten(0, 1)
            mean, square, number = sums.get(norm.node.name, (0.0, 0.0, 0.0))
            sums[norm.node.name] = (mean + seen.sum(0), square + seen.square().sum(0), number + len(seen))
    norms = {}
    for norm in flow.norms:
        if norm.node.name not in sums:
            zero = alpha.new_zeros(len(omega))
            norms[norm.node.name] = (zero, zero + 1)
            continue
        total, square, number = sums[norm.node.name]
        mean = total / number
        norms[norm.node.name] = (mean, (square / number - mean.square()).clamp(min=0) * number / max(1, number - 1))
    return NewChannels(flow, alpha, omega, norms, (0.0, 1.0))


def _usual_fan_out(flow: Flow, tensors: dict[str, Tensor]) -> float:
    """Length of the fan-out of a channel that is there, with the factors of norms; 1 where all are 0."""
    square = 0.0
    for reader in flow.readers:
        factor = rms(tensors[reader.norm.weight]) if reader.norm is not None and reader.norm.weight else 1.0
        weight = tensors[reader.map.name]
        per_channel = weight.numel() / weight.shape[reader.map.in_axis] * reader.block.places
        square += per_channel * (rms(weight) * factor) ** 2
    return square**0.5 or 1.0


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
