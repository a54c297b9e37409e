"""The position op: a learned vector for each position of tokens, whatever stands there."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dagrow.layout import ChannelOrder, Shape, TensorLayout
from dagrow.ops.base import Op, ShapeError


def position_numbers(x: Tensor) -> Tensor:
    """``[samples, positions, ...]`` to ``[samples, positions]``: 0, 1, 2, ... for each sample."""
    return torch.arange(x.shape[1], device=x.device).expand(x.shape[0], -1)


class Position(Op):
    """``y[t] = P[t]``: of the parent, ``[length]`` tokens or ``[length, features]``, it takes the length alone.

    It is a matrix on vectors that have a 1 at the position's place, and so do statistics take it: a new neuron gets an
    entry per position.
    """

    name: ClassVar[str] = "position"
    channel_order: ClassVar[ChannelOrder | None] = "channels_last"
    reads_tokens: ClassVar[bool] = True
    reads_values: ClassVar[bool] = False
    weight_axes: ClassVar[tuple[int, int]] = (1, 0)

    op: Literal["position"] = "position"
    size: int | None = Field(
        default=None, ge=1, description="features this edge writes; only for an edge into a concat node"
    )

    @property
    def call_before(self) -> Callable[[Tensor], Tensor]:
        return position_numbers

    @property
    def export_call(self) -> str:
        return "{0}.weight.expand({1}.shape[0], -1, -1)"

    @property
    def out_features(self) -> int | None:
        return self.size

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        layout = TensorLayout.of(source)
        if layout.order != "channels_last" or len(layout.positions) != 1:
            raise ShapeError(f"'position' counts tokens, not {layout.name}")
        return (*layout.positions, layout.channels if size is None else size)

    def module(self, source: Shape, target: Shape) -> nn.Module:
        return nn.Embedding(source[0], target[-1])

    def export_line(self, source: Shape, target: Shape) -> str:
        return f"nn.Embedding({source[0]}, {target[-1]})"

    def parameter_count(self, source: Shape, target: Shape) -> int:
        return source[0] * target[-1]

    def multiply_adds(self, source: Shape, target: Shape) -> int:
        return 0

    def feature_count(self, source: Shape) -> int:
        return source[0]

    def features(self, x: Tensor) -> Tensor:
        dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        return torch.eye(x.shape[1], dtype=dtype, device=x.device).expand(len(x), -1, -1)

    def rows_to_weight(self, rows: Tensor, source: Shape) -> Tensor:
        return rows

    def functional(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return weight.T.expand(len(x), -1, -1)

    def weight_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        return v.sum(0).T
