"""An edge op: a convolution on series that go on at their other end, as of a day or of a closed track."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

import dagrow
from dagrow.ops import FanOutLayout, Shape, weighted_dots


@dagrow.register_op
class RingConv1d(dagrow.Op):
    """A convolution on ``[channels, length]`` whose ends meet; the length stays."""

    name: ClassVar[str] = "ring_conv1d"
    channel_order: ClassVar[str] = "channels_first"

    op: Literal["ring_conv1d"] = "ring_conv1d"
    kernel: Literal[1, 3, 5] = Field(default=3, description="length of the kernel")
    bias: bool = Field(default=True, description="add a learned constant per channel")

    def module(self, source: Shape, target: Shape) -> nn.Module:
        """A layer of torch, so that exports need nothing else."""
        options = {"padding": self.kernel // 2, "padding_mode": "circular", "bias": self.bias}
        return nn.Conv1d(source[0], target[0], self.kernel, **options)

    # What follows is for growth; docs/how-to/extending.md says what each part promises.

    def offsets(self) -> range:
        """Of the positions that the kernel reads."""
        return range(-(self.kernel // 2), self.kernel // 2 + 1)

    def feature_count(self, source: Shape) -> int:
        """Values that one output position reads."""
        return source[0] * self.kernel

    def features(self, x: Tensor) -> Tensor:
        """``[n, C, length]`` to ``[n, length, C * kernel]``."""
        shifted = torch.stack([torch.roll(x, -offset, 2) for offset in self.offsets()], dim=2)
        return shifted.flatten(1, 2).transpose(1, 2)

    def rows_to_weight(self, rows: Tensor, source: Shape) -> Tensor:
        """``[k, C * kernel]`` as the weight of a layer."""
        return rows.unflatten(1, (source[0], self.kernel))

    def functional(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The edge with another weight."""
        around = nn.functional.pad(x, 2 * [self.kernel // 2], mode="circular")
        return nn.functional.conv1d(around, weight, bias)

    def fan_out_layout(self, source: Shape, pointwise: bool) -> FanOutLayout:
        """Every position of the parent is read by as many positions as the kernel has."""
        fan_out = 1 if pointwise else self.kernel
        return FanOutLayout(fan_out, counts=torch.full((source[1],), float(fan_out)))

    def fan_out_moment(self, image: Tensor, v: Tensor, source: Shape, pointwise: bool, weights: Tensor) -> Tensor:
        """For each position of the kernel, the image times v where it writes."""
        offsets = [0] if pointwise else self.offsets()
        return torch.stack([weighted_dots(image, torch.roll(v, offset, 1), weights) for offset in offsets], dim=2)

    def fan_out_weight(self, omega: Tensor, pointwise: bool) -> Tensor:
        """``[K, fan_out, M]`` as the weight that reads K new channels."""
        kernel = omega.permute(2, 0, 1)
        return nn.functional.pad(kernel, 2 * [self.kernel // 2]) if pointwise else kernel
