"""The attention of a node."""

from __future__ import annotations

from torch import Tensor

from dagrow.layout import TensorLayout
from dagrow.ops.attention import Attention, attend, join_heads, split_heads
from dagrow.spec.graph import NodeSpec
from dagrow.stages.base import FunctionCall, NodeTail, Stage


class AttentionStage(Stage):
    """Tokens read one another."""

    name = "attention"

    def used(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return node.attention is not None

    def output(self, node: NodeSpec, shape: TensorLayout) -> TensorLayout:
        return _attention(node).output_shape(shape)

    def calls(self, node: NodeSpec, shape: TensorLayout) -> tuple[FunctionCall, ...]:
        heads, causal = _attention(node).heads, _attention(node).causal
        split = f"{{}}.unflatten(2, (3, {heads}, -1)).permute(2, 0, 3, 1, 4)"
        among = f"nn.functional.scaled_dot_product_attention(*{{}}{', is_causal=True' if causal else ''})"
        return (
            FunctionCall(split_heads, (heads,), "heads", split),
            FunctionCall(attend, (causal,), "attended", among),
            FunctionCall(join_heads, (), "joined", "{}.transpose(1, 2).flatten(2)"),
        )

    def multiply_adds(self, node: NodeSpec, shape: TensorLayout) -> int:
        return _attention(node).multiply_adds(shape)

    def keeps_units(self, node: NodeSpec) -> bool:
        return False

    def why_fixed(self, name: str, node: NodeSpec, shape: TensorLayout) -> str:
        heads = _attention(node).heads
        parts = f"query, key and value of {heads} head{'s' * (heads > 1)}"
        return f"attention of '{name}' takes its features for {parts}, which do not grow one at a time"

    def run(self, name: str, node: NodeSpec, shape: TensorLayout, x: Tensor, how: NodeTail) -> Tensor:
        return join_heads(attend(split_heads(x, _attention(node).heads), _attention(node).causal))


def _attention(node: NodeSpec) -> Attention:
    assert node.attention is not None
    return node.attention
