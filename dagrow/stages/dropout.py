"""The dropout of a node."""

from __future__ import annotations

from torch import Tensor, nn

from dagrow.layout import TensorLayout
from dagrow.spec.graph import NodeSpec
from dagrow.stages.base import NodeTail, Stage


class DropoutStage(Stage):
    """Sets a share of the values to 0 in training."""

    name = "dropout"

    def used(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return node.dropout > 0

    def has_layer(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return True

    def module(self, node: NodeSpec, shape: TensorLayout) -> nn.Module:
        return nn.Dropout(node.dropout)

    def export_line(self, node: NodeSpec, shape: TensorLayout) -> str:
        return f"nn.Dropout({node.dropout!r})"

    def run(self, name: str, node: NodeSpec, shape: TensorLayout, x: Tensor, how: NodeTail) -> Tensor:
        return nn.functional.dropout(x, node.dropout, how.training)
