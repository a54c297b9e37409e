"""The norm of a node."""

from __future__ import annotations

from torch import Tensor, nn

from dagrow.layout import TensorLayout
from dagrow.ops import NORMS
from dagrow.spec.graph import NodeSpec
from dagrow.stages.base import NodeTail, Stage


class NormStage(Stage):
    """Normalises what the node merges."""

    name = "norm"

    def used(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return node.norm != "none"

    def output(self, node: NodeSpec, shape: TensorLayout) -> TensorLayout:
        NORMS[node.norm].check(shape)
        return shape

    def has_layer(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return True

    def module(self, node: NodeSpec, shape: TensorLayout) -> nn.Module:
        return NORMS[node.norm].module(shape)

    def export_line(self, node: NodeSpec, shape: TensorLayout) -> str:
        return NORMS[node.norm].export_line(shape)

    def parameter_count(self, node: NodeSpec, shape: TensorLayout) -> int:
        return NORMS[node.norm].parameters_per_feature * shape.channels

    def keeps_units(self, node: NodeSpec) -> bool:
        return False

    def why_fixed(self, name: str, node: NodeSpec, shape: TensorLayout) -> str:
        if NORMS[node.norm].per_feature:
            return ""
        return f"norm '{node.norm}' of '{name}' mixes all features, so a new one would change the others"

    def run(self, name: str, node: NodeSpec, shape: TensorLayout, x: Tensor, how: NodeTail) -> Tensor:
        return how.norm(name, x)
