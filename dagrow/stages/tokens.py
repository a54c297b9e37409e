"""Maps of a node become tokens."""

from __future__ import annotations

from torch import Tensor

from dagrow.layout import TensorLayout
from dagrow.ops import ShapeError
from dagrow.spec.graph import NodeSpec
from dagrow.stages.base import FunctionCall, NodeTail, Stage


class TokensStage(Stage):
    """All positions in one row, each with the features that the maps have there."""

    name = "tokens"

    def used(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return node.tokens

    def output(self, node: NodeSpec, shape: TensorLayout) -> TensorLayout:
        if shape.order != "channels_first":
            raise ShapeError(f"tokens are made of maps, series or volumes; the node holds {shape.name}")
        return TensorLayout((shape.position_count, shape.channels), axis=1)

    def calls(self, node: NodeSpec, shape: TensorLayout) -> tuple[FunctionCall, ...]:
        return (FunctionCall(positions_in_a_row, (), "tokens", "{}.flatten(2).transpose(1, 2)"),)

    def run(self, name: str, node: NodeSpec, shape: TensorLayout, x: Tensor, how: NodeTail) -> Tensor:
        return positions_in_a_row(x)


def positions_in_a_row(x: Tensor) -> Tensor:
    """``[n, channels, ...]`` to ``[n, positions, channels]``."""
    return x.flatten(2).transpose(1, 2)
