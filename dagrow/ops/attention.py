"""Attention of a node: its features are queries, keys and values, and tokens read one another.

The projections are edges, as all weights are: what leads into the node makes query, key and value, what reads it is
the output projection. So each has the statistics, updates and insertions of any other edge.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from dagrow.layout import TensorLayout
from dagrow.ops.base import ShapeError


class Attention(BaseModel):
    """``{heads, causal}``: scaled dot-product attention among the tokens of a node.

    The node's features are the queries of all heads, then the keys, then the values: ``3 x heads x head size``. It puts
    out the heads side by side, ``heads x head size``. Source: Vaswani et al., https://arxiv.org/abs/1706.03762, eq. 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    heads: int = Field(default=1, ge=1, le=4096, description="how many, each with its own queries, keys and values")
    causal: bool = Field(default=False, description="a token reads only itself and those before it")

    @property
    def plain(self) -> str:
        """In words, for tables and pictures."""
        heads = f"{self.heads} head{'s' * (self.heads > 1)}"
        return f"{'causal ' * self.causal}attention, {heads}"

    def output_shape(self, shape: TensorLayout) -> TensorLayout:
        """Shape behind it.

        Raises:
            ShapeError: of anything but tokens, or if the features are not query, key and value of all heads.
        """
        if shape.order != "channels_last" or len(shape.positions) != 1:
            raise ShapeError(f"attention is among tokens [tokens, features], the node merges {shape.name}")
        if shape.channels % (3 * self.heads):
            raise ShapeError(
                f"attention splits the node's features into query, key and value of {self.heads} heads, "
                f"and {shape.channels} is no multiple of {3 * self.heads}"
            )
        return shape.with_channels(shape.channels // 3)

    def multiply_adds(self, shape: TensorLayout) -> int:
        """Of one sample: each token's queries with all keys, and the weights with all values."""
        return 2 * shape.position_count**2 * (shape.channels // 3)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """``[n, tokens, 3 x heads x size]`` to query, key and value: ``[3, n, heads, tokens, size]``."""
    return torch.unflatten(x, 2, (3, heads, -1)).permute(2, 0, 3, 1, 4)


def attend(qkv: Tensor, causal: bool) -> Tensor:
    """``softmax(q k^T / sqrt(size)) v``, ``[3, n, heads, tokens, size]`` to ``[n, heads, tokens, size]``."""
    query, key, value = qkv
    return functional.scaled_dot_product_attention(query, key, value, is_causal=causal)


def join_heads(x: Tensor) -> Tensor:
    """``[n, heads, tokens, size]`` to ``[n, tokens, heads x size]``."""
    return x.transpose(1, 2).flatten(2)
