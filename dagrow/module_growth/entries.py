"""New channels with given weights, put into a module that was widened with silent ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dagrow.capture import Normalisation, named_tensors, places
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.flow_rules import centred
from dagrow.resize import Widened


@dataclass(frozen=True)
class NewChannels:
    """``K`` new channels of a space.

    Attributes:
        flow: their way.
        alpha: ``[F, P K]`` fan-in, the constants of the writers last; ``P`` entries per channel, see `Rows`.
        omega: ``[K, M]`` fan-out, the readers side by side.
        norms: per batch norm on the way, mean and variance of the channels before it; it passes them unchanged.
        powers: of the amplitude, on the fan-in and on the fan-out. Behind a batch norm the size of a fan-in does not
            count: all is on the fan-out. Before a norm over all channels it counts twice, by its square in what the
            norm divides by: all is on the fan-in, so that this is of second order.
        left: ``[P K]`` which entries stay as they were drawn: the keys of new heads. None where all are set.
    """

    flow: Flow
    alpha: Tensor
    omega: Tensor
    norms: Mapping[str, tuple[Tensor, Tensor]]
    powers: tuple[float, float] = (0.5, 0.5)
    left: Tensor | None = None

    @property
    def count(self) -> int:
        """K."""
        return len(self.omega)

    def scaled(self, fan_in: float, fan_out: float) -> NewChannels:
        """The same channels with both sides multiplied."""
        norms = {name: (mean * fan_in, variance * fan_in**2) for name, (mean, variance) in self.norms.items()}
        return replace(self, alpha=self.alpha * fan_in, omega=self.omega * fan_out, norms=norms)

    def mirrored(self, signs: Tensor) -> NewChannels:
        """Both sides times a sign per channel."""
        norms = {name: (mean * signs, variance) for name, (mean, variance) in self.norms.items()}
        return replace(self, alpha=self.alpha * signs, omega=self.omega * signs.unsqueeze(1), norms=norms)

    def at(self, amplitude: float) -> NewChannels:
        """At an amplitude."""
        return self.scaled(*(amplitude**power for power in self.powers))

    @property
    def silent(self) -> NewChannels:
        """At amplitude 0: the side that has it is 0, the fan-out where both have."""
        return self.scaled(1.0, 0.0) if self.powers[1] else self.scaled(0.0, 1.0)

    @torch.no_grad()
    def put(self, model: nn.Module, widened: Widened) -> None:
        """Gives the new entries of a widened module their values. What was there stays.

        Args:
            model: that was widened.
            widened: by what.
        """
        _put(model, widened, self.flow, self)


def _put(model: nn.Module, widened: Widened, flow: Flow, channels: NewChannels) -> None:
    tensors = dict(named_tensors(model))
    entries = Entries(widened, flow.space.name)
    old = {each.name: each.old for each in widened.tensors}
    for norm in flow.space.normalisations:
        if norm.weight is not None:
            entries.set(norm.weight, tensors[norm.weight], 0, norm_factor(flow, norm, tensors, entries))
    for reader, block in zip(flow.readers, fan_outs(flow, channels.omega, tensors, entries), strict=True):
        entries.set(reader.map.name, tensors[reader.map.name], reader.map.in_axis, block)
    counts = flow.feature_counts(old)
    alphas = torch.split(channels.alpha, [*counts, len(channels.alpha) - sum(counts)])
    constants = iter(alphas[-1])
    for writer, alpha in zip(flow.writers, alphas, strict=False):
        weight = tensors[writer.name]
        rows = writer.weight(alpha.T.to(weight), old[writer.name])
        bias = None if writer.bias is None else next(constants)
        for name, axis, value in ((writer.name, writer.out_axis, rows), (writer.bias, 0, bias)):
            if name is not None and value is not None:
                if flow.space.kind != "plain":
                    entries.carry(name, tensors[name], axis, flow.space.kind == "layer_norm")
                value = (
                    value
                    if channels.left is None
                    else entries.with_left(name, tensors[name], axis, value, channels.left)
                )
                entries.set(name, tensors[name], axis, value, add=flow.space.kind != "plain")
    for writer in flow.queries:
        for name, axis in ((writer.name, writer.out_axis), (writer.bias, 0)):
            if name is not None:
                entries.set(name, tensors[name], axis, 0.0)
    for batch_norm in flow.norms:
        mean, variance = channels.norms[batch_norm.node.name]
        spread = (variance + batch_norm.eps).sqrt()
        for name, value in zip(batch_norm.names, (spread, mean, mean, variance), strict=True):
            if name is not None:
                entries.set(name, tensors[name], 0, value)
    for name in flow.depthwise:
        kernel = tensors[name]
        count = int(places(widened.start.analysis.tensors[name][0], widened.start.growth).new.sum())
        entries.set(name, kernel, 0, centred((count, *kernel.shape[1:]), kernel))


def fan_outs(flow: Flow, omega: Tensor, tensors: Mapping[str, Tensor], entries: Entries) -> list[Tensor]:
    """The new weights of each reader; behind a norm, what its factors multiply is made up for.

    Args:
        flow: of the space.
        omega: ``[K, M]``.
        tensors: of the widened module.
        entries: of them.
    """
    found, column = [], 0
    for reader in flow.readers:
        before = entries.old(reader.map.name)
        width = before.numel() // before.shape[reader.map.in_axis] * reader.block.places
        block = reader.block.weight(omega[:, column : column + width], reader.map.in_axis, before)
        if reader.norm is not None:
            block = block / (norm_factor(flow, reader.norm, tensors, entries) / entries.share(flow) ** 0.5)
        found.append(block)
        column += width
    return found


def norm_factor(flow: Flow, norm: Normalisation, tensors: Mapping[str, Tensor], entries: Entries) -> float:
    """What a norm over all channels multiplies new ones by: as much as the others, 0 where it is to stay silent.

    Args:
        flow: of the space.
        norm: over it.
        tensors: of the widened module.
        entries: of them.
    """
    if norm in flow.quiet or norm.weight is None:
        return 0.0
    found = rms(entries.kept(norm.weight, tensors[norm.weight], 0))
    return found if found > 0 else 1.0


def rms(tensor: Tensor) -> float:
    """Root mean square of all entries."""
    return float(tensor.detach().double().square().mean().sqrt())


class Entries:
    """Where the new entries of a space are in a widened module, in which other spaces may have grown along.

    Args:
        widened: what was done.
        name: of the space.
    """

    def __init__(self, widened: Widened, name: str) -> None:
        self.widened = widened
        self._old = {each.name: each.old for each in widened.tensors}
        own = next(space.dims for space in widened.start.spaces if space.name == name)
        self._causes = torch.tensor([number for number, dim in enumerate(widened.start.growth) if dim in own])

    def old(self, name: str) -> Tensor:
        """A tensor as it was."""
        return self._old[name]

    def share(self, flow: Flow) -> float:
        """Old channels per channel of a space."""
        return flow.space.size / (flow.space.size + self.widened.start.count)

    def set(self, name: str, tensor: Tensor, axis: int, value: Tensor | float, add: bool = False) -> None:
        """Sets new entries along one axis; along others that grow as well, at the places of old ones.

        Args:
            name: of the tensor.
            tensor: changed in place.
            axis: of it.
            value: of the new entries; one per channel where several entries stand for one.
            add: to what they are.
        """
        grid = self._grid(name, tensor, axis, True)
        count = grid[axis].shape[axis]
        value = value.to(tensor) if isinstance(value, Tensor) else tensor.new_full([1] * tensor.dim(), value)
        value = value.repeat_interleave(count // value.shape[axis], axis)
        tensor[grid] = tensor[grid] + value if add else value

    def with_left(self, name: str, tensor: Tensor, axis: int, value: Tensor, left: Tensor) -> Tensor:
        """New entries along an axis, some of them as they are.

        Args:
            name: of the tensor.
            tensor: as it is.
            axis: of it.
            value: of the new entries.
            left: booleans, those that stay.
        """
        shape = [-1 if number == axis else 1 for number in range(tensor.dim())]
        return torch.where(left.to(tensor.device).view(shape), self.new(name, tensor, axis), value.to(tensor))

    def carry(self, name: str, tensor: Tensor, axis: int, mean: bool) -> None:
        """Sets new entries, all along other axes, to the mean of the old ones, or to 0."""
        new = places(self.widened.start.analysis.tensors[name][axis], self.widened.start.growth).new
        new, old = (at.nonzero().squeeze(1).to(tensor.device) for at in (new, ~new))
        carried = tensor.index_select(axis, old).mean(axis, keepdim=True) if mean else tensor.new_zeros(())
        tensor.index_copy_(axis, new, carried.expand_as(tensor.index_select(axis, new)).contiguous())

    def new(self, name: str, tensor: Tensor, axis: int) -> Tensor:
        """The new entries along one axis; along others, at the places of old ones."""
        return tensor[self._grid(name, tensor, axis, True)]

    def kept(self, name: str, tensor: Tensor, axis: int) -> Tensor:
        """The old entries along one axis, as they are now."""
        return tensor[self._grid(name, tensor, axis, False)]

    def _grid(self, name: str, tensor: Tensor, axis: int, new: bool) -> tuple[Tensor, ...]:
        index = []
        for number, dim in enumerate(self.widened.start.analysis.tensors[name]):
            found = places(dim, self.widened.start.growth)
            own = torch.isin(found.cause, self._causes) if new and number == axis else ~found.new
            index.append(own.nonzero().squeeze(1).to(tensor.device))
        return torch.meshgrid(*index, indexing="ij")
