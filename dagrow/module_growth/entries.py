"""New channels with given weights, put into a module that was widened with silent ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dagrow.capture import named_tensors, places
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.flow_rules import centred
from dagrow.resize import Widened


@dataclass(frozen=True)
class NewChannels:
    """``K`` new channels of a space.

    Attributes:
        alpha: ``[F, K]`` fan-in, the constants of the writers last.
        omega: ``[K, M]`` fan-out, the readers side by side.
        norms: per batch norm on the way, mean and variance of the channels before it; it passes them unchanged.
    """

    alpha: Tensor
    omega: Tensor
    norms: Mapping[str, tuple[Tensor, Tensor]]

    def scaled(self, fan_in: float, fan_out: float) -> NewChannels:
        """The same channels with both sides multiplied."""
        norms = {name: (mean * fan_in, variance * fan_in**2) for name, (mean, variance) in self.norms.items()}
        return NewChannels(self.alpha * fan_in, self.omega * fan_out, norms)

    def mirrored(self, signs: Tensor) -> NewChannels:
        """Both sides times a sign per channel."""
        norms = {name: (mean * signs, variance) for name, (mean, variance) in self.norms.items()}
        return replace(self, alpha=self.alpha * signs, omega=self.omega * signs.unsqueeze(1), norms=norms)

    def at(self, amplitude: float) -> NewChannels:
        """At an amplitude: the root of it on both sides; all of it on the fan-out where a batch norm is on the way."""
        if self.norms:
            return self.scaled(1.0, amplitude)
        return self.scaled(amplitude**0.5, amplitude**0.5)


@torch.no_grad()
def put(model: nn.Module, widened: Widened, flow: Flow, channels: NewChannels) -> None:
    """Gives the new entries of a widened module their values. What was there stays.

    Args:
        model: that was widened.
        widened: by what.
        flow: of the space, in the module as it was.
        channels: the weights.
    """
    tensors = dict(named_tensors(model))
    growth = widened.start.growth
    old = {each.name: each.old for each in widened.tensors}
    counts = flow.feature_counts(old)
    alphas = torch.split(channels.alpha, [*counts, len(channels.alpha) - sum(counts)])
    constants = iter(alphas[-1])
    for writer, alpha in zip(flow.writers, alphas, strict=False):
        weight = tensors[writer.name]
        rows = alpha.T.to(weight)
        _set(weight, writer.out_axis, widened, writer.name, writer.weight(rows, old[writer.name]))
        if writer.bias is not None:
            bias, constant = tensors[writer.bias], next(constants)
            new = places(widened.start.analysis.tensors[writer.bias][0], growth).new.to(bias.device)
            bias[new] = constant.to(bias)
    column = 0
    for reader in flow.readers:
        before = old[reader.map.name]
        width = before.numel() // before.shape[reader.map.in_axis] * reader.block.places
        block = channels.omega[:, column : column + width].to(before)
        column += width
        _set(
            tensors[reader.map.name], reader.map.in_axis, widened, reader.map.name,
            reader.block.weight(block, reader.map.in_axis, before),
        )  # fmt: skip
    for norm in flow.norms:
        mean, variance = channels.norms[norm.node.name]
        spread = (variance + norm.eps).sqrt()
        for name, value in zip(norm.names, (spread, mean, mean, variance), strict=True):
            if name is not None:
                _set_entries(tensors[name], widened, name, value)
    for name in flow.depthwise:
        kernel = tensors[name]
        new = places(widened.start.analysis.tensors[name][0], growth).new.to(kernel.device)
        kernel[new] = centred((int(new.sum()), *kernel.shape[1:]), kernel)


def _set(tensor: Tensor, axis: int, widened: Widened, name: str, block: Tensor) -> None:
    """New entries along one axis; along others that grow as well, at the places of old ones."""
    index = []
    for number, dim in enumerate(widened.start.analysis.tensors[name]):
        found = places(dim, widened.start.growth)
        index.append((found.new if number == axis else ~found.new).nonzero().squeeze(1).to(tensor.device))
    tensor[torch.meshgrid(*index, indexing="ij")] = block.to(tensor)


def _set_entries(tensor: Tensor, widened: Widened, name: str, value: Tensor) -> None:
    """Entries of a norm: several may stand for one channel, at the positions of a flattened map."""
    new = places(widened.start.analysis.tensors[name][0], widened.start.growth).new.to(tensor.device)
    tensor[new] = value.to(tensor).repeat_interleave(int(new.sum()) // len(value))
