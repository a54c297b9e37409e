"""Which axis of a value holds its channels: the one type that shapes, values and positions are asked through.

The rank of a shape does not say it: ``[8, 128]`` may be 8 tokens of 128 features or a series of 8 channels. So an
input declares it, an op keeps or refuses it, and everything else asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Literal

import torch
from torch import Tensor

Shape = tuple[int, ...]
"""Extents of one sample, without the batch."""

ChannelOrder = Literal["channels_first", "channels_last"]

_NAMES = {
    (1, 0): "vectors",
    (2, 1): "tokens [tokens, features]",
    (2, 0): "series [channels, length]",
    (3, 0): "maps [channels, height, width]",
    (4, 0): "volumes [channels, depth, height, width]",
}


class TensorLayout(tuple[int, ...]):
    """The shape of one sample and the axis of it that holds the channels (features); the others are positions.

    It is a tuple of its extents. Two layouts are equal if they also have the same axis, and are indexed or not.

    Args:
        extents: of one sample, without the batch.
        axis: of the channels: the first or the last.
        indexed: whether each position has a 1 at one channel and 0 at the others, and the values are kept as the
            numbers of these channels, whole numbers of shape `stored`: tokens of a vocabulary.
    """

    axis: int
    indexed: bool

    def __new__(cls, extents: Iterable[int], axis: int, indexed: bool = False) -> TensorLayout:
        """The layout of these extents.

        Raises:
            ValueError: if the axis is neither the first nor the last.
        """
        layout = super().__new__(cls, extents)
        if axis not in (0, len(layout) - 1):
            raise ValueError(f"axis {axis} is neither the first nor the last of {list(layout)}")
        layout.axis, layout.indexed = axis, indexed
        return layout

    @classmethod
    def of(cls, shape: Shape, order: ChannelOrder | None = None) -> TensorLayout:
        """A layout as it is, or that of a plain shape.

        Args:
            shape: extents of one sample.
            order: where a plain shape has its channels; if left out, tokens ``[tokens, features]`` have them last and
                everything else first.
        """
        if isinstance(shape, TensorLayout):
            return shape
        last = len(shape) == 2 if order is None else order == "channels_last"
        return cls(shape, len(shape) - 1 if last else 0)

    def __getnewargs__(self) -> tuple[Shape, int, bool]:
        return tuple(self), self.axis, self.indexed

    def __eq__(self, other: object) -> bool:
        same = not isinstance(other, TensorLayout) or (self.axis, self.indexed) == (other.axis, other.indexed)
        return same and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__

    def __str__(self) -> str:
        if self.indexed:
            return f"{list(self.stored)} of {self.channels} tokens"
        usual = self == TensorLayout.of(tuple(self))
        return str(list(self)) if usual else f"{list(self)} ({self.order})"

    __format__ = object.__format__

    @property
    def order(self) -> ChannelOrder | None:
        """Where the channels are; None for vectors, which have no positions."""
        if len(self) == 1:
            return None
        return "channels_first" if self.axis == 0 else "channels_last"

    @property
    def name(self) -> str:
        """What such values are called, for messages."""
        return _NAMES.get((len(self), self.axis), f"values with {self.order} of {len(self)} axes")

    @property
    def channels(self) -> int:
        """How many channels (features)."""
        return self[self.axis]

    @property
    def positions(self) -> Shape:
        """The extents that share the weights: of a map, of tokens; none of a vector."""
        return self[1:] if self.axis == 0 else self[:-1]

    @property
    def stored(self) -> Shape:
        """Extents of one sample as tensors hold it: the positions alone, where the channels are indexed."""
        return self.positions if self.indexed else self

    @property
    def position_count(self) -> int:
        """How many positions share the weights: pixels of a map, tokens, or 1."""
        return prod(self.positions)

    @property
    def batch_axis(self) -> int:
        """The axis of the channels in a batch ``[samples, ...]``."""
        return self.axis + 1

    @property
    def position_axes(self) -> tuple[int, ...]:
        """The axes of the positions in a batch."""
        return tuple(axis for axis in range(1, len(self) + 1) if axis != self.batch_axis)

    def with_channels(self, count: int) -> TensorLayout:
        """The same positions with another number of channels."""
        extents = (count, *self.positions) if self.axis == 0 else (*self.positions, count)
        return TensorLayout(extents, self.axis)

    def with_positions(self, positions: Shape) -> TensorLayout:
        """The same channels at as many axes of other positions; none makes it a vector."""
        extents = (self.channels, *positions) if self.axis == 0 else (*positions, self.channels)
        return TensorLayout(extents, 0 if not positions else self.axis and len(positions))

    def flat(self) -> TensorLayout:
        """The vector of all values."""
        return TensorLayout((prod(self),), 0)

    def to_positions(self, x: Tensor) -> Tensor:
        """Brings values ``[samples, ...]`` to ``[samples, positions, channels]`` (a view where possible)."""
        if len(self) == 1:
            return x.unsqueeze(1)
        return x.flatten(2).transpose(1, 2) if self.axis == 0 else x.flatten(1, -2)

    def from_positions(self, x: Tensor) -> Tensor:
        """The inverse of `to_positions`, for any number of channels: ``[samples, positions, any]`` to values."""
        if len(self) == 1:
            return x.squeeze(1)
        if self.axis == 0:
            return torch.unflatten(x.transpose(1, 2), 2, self.positions)
        return torch.unflatten(x, 1, self.positions)

    def per_channel(self, x: Tensor) -> Tensor:
        """One number per channel ``[channels]``, so that it goes with a batch of values."""
        return x.view(-1, *[1] * len(self.positions)) if self.axis == 0 else x


def channels_last(weight: Tensor) -> bool:
    """Whether a weight ``[out, in, ...]`` lies in memory with its channels last, whatever positions it has.

    What has one order only, as a bias, a matrix or a kernel of one position, has not.
    """
    return not weight.is_contiguous() and weight.permute(_channels_at_end(weight)).is_contiguous()


def copied_in_order(weight: Tensor, last: bool) -> Tensor:
    """A copy of a weight ``[out, in, ...]`` that lies in memory with its channels last, or first."""
    order = _channels_at_end(weight) if last else tuple(range(weight.dim()))
    copied = weight.permute(order).clone(memory_format=torch.contiguous_format)
    return copied.permute(tuple(map(order.index, range(len(order)))))


def _channels_at_end(weight: Tensor) -> tuple[int, ...]:
    return (0, *range(2, weight.dim()), 1)[: weight.dim()]
