"""The linear op: a matrix on the last dimension, shared by all tokens."""

from __future__ import annotations

from math import prod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dagrow.layout import ChannelOrder, Shape, TensorLayout
from dagrow.ops.base import FanOutLayout, Op, ShapeError
from dagrow.ops.weighted_dots import weighted_dots


class Linear(Op):
    """``y = W x + bias`` on the last dimension."""

    name: ClassVar[str] = "linear"
    channel_order: ClassVar[ChannelOrder | None] = "channels_last"

    op: Literal["linear"] = "linear"
    bias: bool = Field(default=True, description="add a learned constant per feature")
    size: int | None = Field(
        default=None,
        ge=1,
        description="features this edge writes; only for an edge into a concat node. Left out, such edges share the "
        "rest of the node's size equally",
    )

    @classmethod
    def infer(cls, source: Shape, target: Shape, kernel: int) -> Op | None:
        return cls(bias=False) if source[:-1] == target[:-1] else None

    @property
    def out_features(self) -> int | None:
        return self.size

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        layout = TensorLayout.of(source)
        if layout.order == "channels_first":
            kind, dims = layout.name.partition(" ")[0], len(layout.positions)
            raise ShapeError(
                f"'linear' reads vectors or tokens, not {kind} {list(source)}: "
                f"give the parent 'flatten: true' or 'pool: global_average', or use conv{dims}d"
            )
        return (*source[:-1], source[-1] if size is None else size)

    def module(self, source: Shape, target: Shape) -> nn.Module:
        return nn.Linear(source[-1], target[-1], bias=self.bias)

    # Plans ask for many shapes, so costs are computed and not read off a layer.

    def parameter_count(self, source: Shape, target: Shape) -> int:
        return target[-1] * (source[-1] + self.bias)

    def multiply_adds(self, source: Shape, target: Shape) -> int:
        return source[-1] * prod(target)

    def feature_count(self, source: Shape) -> int:
        return source[-1]

    def features(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1) if x.dim() == 2 else x.flatten(1, -2)

    def rows_to_weight(self, rows: Tensor, source: Shape) -> Tensor:
        return rows

    def functional(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return nn.functional.linear(x, weight, bias)

    def weight_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        return v.flatten(0, -2).T @ x.flatten(0, -2)

    def input_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        return v @ weight

    def fan_out_layout(self, source: Shape, pointwise: bool) -> FanOutLayout:
        return FanOutLayout(fan_out=1, counts=torch.ones(prod(source[:-1])))

    def fan_out_moment(self, image: Tensor, v: Tensor, source: Shape, pointwise: bool, weights: Tensor) -> Tensor:
        return weighted_dots(image, v, weights).unsqueeze(2)

    def fan_out_weight(self, omega: Tensor, pointwise: bool) -> Tensor:
        return omega.squeeze(1).T
