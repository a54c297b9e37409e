"""The conv_transpose2d op: a convolution run backwards, which makes maps larger; the way up of a U-Net.

It writes where the convolution with the same fields, its *mirror*, would read. So what one of the two needs
of the other end of its edge the other has at this one: `features` are the mirror's transposed unfold, and the
moment of the fan-out is over the mirror's patches.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dagrow.layout import ChannelOrder, Shape, TensorLayout
from dagrow.ops.base import FanOutLayout, Op, ShapeError
from dagrow.ops.conv2d import Conv2d, Pair
from dagrow.ops.convolution import Margin, each_axis, short_form
from dagrow.ops.weighted_dots import weighted_dots

Margins = Annotated[tuple[Margin, Margin], each_axis(2), short_form]


class ConvTranspose2d(Op):
    """A transposed convolution: each pixel is spread over a kernel, pixels ``stride`` apart."""

    name: ClassVar[str] = "conv_transpose2d"
    channel_order: ClassVar[ChannelOrder | None] = "channels_first"
    weight_axes: ClassVar[tuple[int, int]] = (1, 0)

    op: Literal["conv_transpose2d"] = "conv_transpose2d"
    kernel: Pair = Field(default=(2, 2), description="height and width of the kernel")
    stride: Pair = Field(default=(2, 2), description="step, on the output map, between what neighbouring pixels write")
    padding: Margins = Field(default=(0, 0), description="what is cut off around the output map")
    output_padding: Margins = Field(
        default=(0, 0), description="rows and columns that the output map has more, below and right; below the stride"
    )
    dilation: Pair = Field(default=(1, 1), description="step between kernel positions")
    bias: bool = Field(default=True, description="add a learned constant per channel")
    size: int | None = Field(
        default=None, ge=1, description="channels this edge writes; only for an edge into a concat node"
    )

    @model_validator(mode="after")
    def _within_the_stride(self) -> ConvTranspose2d:
        if any(extra >= s for extra, s in zip(self.output_padding, self.stride, strict=True)):
            raise ValueError(f"output_padding {list(self.output_padding)} must be less than stride {list(self.stride)}")
        return self

    @classmethod
    def infer(cls, source: Shape, target: Shape, kernel: int) -> Op | None:
        """Onto a map that is a whole number of times as large: each pixel becomes a block of them."""
        if len(source) != 3 or len(target) != 3:
            return None
        times = [b // a for a, b in zip(source[1:], target[1:], strict=True)]
        if any(t * a != b for t, a, b in zip(times, source[1:], target[1:], strict=True)) or times == [1, 1]:
            return None
        return cls(kernel=(times[0], times[1]), stride=(times[0], times[1]), bias=False)

    @property
    def out_features(self) -> int | None:
        return self.size

    @property
    def mirror(self) -> Conv2d:
        """The convolution that reads our output map where we write it, at the positions of our input map."""
        return Conv2d(kernel=self.kernel, stride=self.stride, padding=self.padding, dilation=self.dilation)

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        if len(source) != 3:
            raise ShapeError(f"'{self.name}' reads maps [channels, height, width], not {list(source)}; use linear")
        height, width = (
            (extent - 1) * s - 2 * p + d * (k - 1) + 1 + extra
            for extent, s, p, d, k, extra in zip(
                source[1:], self.stride, self.padding, self.dilation, self.kernel, self.output_padding, strict=True
            )
        )
        if height < 1 or width < 1:
            raise ShapeError(f"padding {list(self.padding)} leaves nothing of the map {list(source)}")
        return (source[0] if size is None else size, height, width)

    def module(self, source: Shape, target: Shape) -> nn.Module:
        spread: dict[str, Any] = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        spread["output_padding"] = self.output_padding
        return nn.ConvTranspose2d(source[0], target[0], self.kernel, **spread, bias=self.bias)

    def multiply_adds(self, source: Shape, target: Shape) -> int:
        return target[0] * source[1] * source[2] * self.feature_count(source)

    def feature_count(self, source: Shape) -> int:
        return self.mirror.feature_count(source)

    def features(self, x: Tensor) -> Tensor:
        """Patches of the map with the stride's gaps between its pixels: the kernel's offsets in reverse."""
        source = TensorLayout(x.shape[1:], 0)
        target = self.output_shape(source, None)
        return self.mirror.fold_gradient(source.to_positions(x), target, pointwise=False).transpose(1, 2)

    def rows_to_weight(self, rows: Tensor, source: Shape) -> Tensor:
        return self.mirror.rows_to_weight(rows, source).flip(2, 3)

    def weight_to_rows(self, weight: Tensor) -> Tensor:
        return weight.flip(2, 3).flatten(1)

    def functional(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return nn.functional.conv_transpose2d(
            x, self.to_layer_layout(weight), bias, self.stride, self.padding, self.output_padding, 1, self.dilation
        )

    def fan_out_layout(self, source: Shape, pointwise: bool) -> FanOutLayout:
        return _reads(self, source, pointwise)

    def fan_out_moment(self, image: Tensor, v: Tensor, source: Shape, pointwise: bool, weights: Tensor) -> Tensor:
        maps = torch.unflatten(v.transpose(1, 2), 2, self.output_shape(source, 1)[1:])
        back = self.read_back(maps, pointwise)
        moment = weighted_dots(image, back.flatten(2), weights)
        return torch.unflatten(moment, 2, back.shape[2:]).transpose(2, 3)

    def read_back(self, maps: Tensor, pointwise: bool) -> Tensor:
        """What the child wants where each of our input positions writes: ``[n, positions, M, fan_out]``."""
        patches = torch.unflatten(self.mirror.features(maps), 2, (maps.shape[1], -1))
        return patches[..., self.mirror.centre, None] if pointwise else patches

    def fan_out_features(self, x: Tensor, count: int, pointwise: bool) -> Tensor:
        found = super().fan_out_features(x, count, pointwise).flip(3)
        return found[..., self.mirror.centre, None] if pointwise else found

    def fan_out_weight(self, omega: Tensor, pointwise: bool) -> Tensor:
        return self.mirror.fan_out_weight(omega, pointwise)


@lru_cache(maxsize=256)
def _reads(op: ConvTranspose2d, source: Shape, pointwise: bool) -> FanOutLayout:
    written = op.read_back(torch.ones(1, *op.output_shape(source, 1)), pointwise)
    return FanOutLayout(fan_out=written.shape[3], counts=written.sum((0, 2, 3)))
