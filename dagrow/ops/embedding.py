"""The embedding op: a learned vector for each token of a vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor, nn

from dagrow.layout import ChannelOrder, Shape, TensorLayout
from dagrow.ops.base import Op, ShapeError


def whole_numbers(x: Tensor) -> Tensor:
    """Tokens as torch's layer takes them."""
    return x.long()


class Embedding(Op):
    """``y[t] = E[x[t]]``: tokens ``[length]``, whole numbers, to values ``[length, features]``.

    It is a matrix on vectors that have a 1 at the token's place, and so do statistics take it: a new neuron gets an
    entry per token. These vectors are made where moments need them, never in the forward pass.
    """

    name: ClassVar[str] = "embedding"
    channel_order: ClassVar[ChannelOrder | None] = "channels_last"
    reads_tokens: ClassVar[bool] = True
    weight_axes: ClassVar[tuple[int, int]] = (1, 0)

    _vocabulary: int = PrivateAttr(0)

    op: Literal["embedding"] = "embedding"
    size: int | None = Field(
        default=None, ge=1, description="features this edge writes; only for an edge into a concat node"
    )

    @classmethod
    def infer(cls, source: Shape, target: Shape, kernel: int) -> Op | None:
        read, written = TensorLayout.of(source), TensorLayout.of(target)
        return cls() if read.indexed and read.positions == written.positions else None

    @property
    def call_before(self) -> Callable[[Tensor], Tensor]:
        # Data come in the number format of the network; torch's layer takes whole numbers only.
        return whole_numbers

    @property
    def export_call(self) -> str:
        return "{0}({1}.long())"

    @property
    def out_features(self) -> int | None:
        return self.size

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        layout = TensorLayout.of(source)
        if not layout.indexed:
            raise ShapeError(
                f"'embedding' reads whole numbers, not {layout.name}: it follows an input with a 'vocabulary'; "
                "'linear' reads numbers"
            )
        return (*layout.positions, layout.channels if size is None else size)

    def module(self, source: Shape, target: Shape) -> nn.Module:
        return nn.Embedding(source[-1], target[-1])

    def export_line(self, source: Shape, target: Shape) -> str:
        return f"nn.Embedding({source[-1]}, {target[-1]})"

    def parameter_count(self, source: Shape, target: Shape) -> int:
        return source[-1] * target[-1]

    def multiply_adds(self, source: Shape, target: Shape) -> int:
        return 0

    def feature_count(self, source: Shape) -> int:
        return source[-1]

    def reading(self, source: TensorLayout) -> Embedding:
        bound = self.model_copy()
        bound._vocabulary = source.channels
        return bound

    def features(self, x: Tensor) -> Tensor:
        numbers = torch.arange(self._vocabulary, device=x.device)
        return (x.unsqueeze(-1) == numbers).to(x.dtype if x.is_floating_point() else torch.get_default_dtype())

    @property
    def has_gram(self) -> bool:
        return True

    def gram(self, x: Tensor) -> Tensor:
        # No position has two tokens: nothing but how often each occurs.
        return torch.bincount(x.flatten().long(), minlength=self._vocabulary).to(x.dtype).diag()

    def rows_to_weight(self, rows: Tensor, source: Shape) -> Tensor:
        return rows

    def functional(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return nn.functional.embedding(x.long(), weight.T)

    def weight_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        rows = v.new_zeros(weight.shape[1], len(weight))
        return rows.index_add_(0, x.flatten().long(), v.flatten(0, 1)).T
