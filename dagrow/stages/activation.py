"""The activation of a node."""

from __future__ import annotations

from torch import Tensor, nn

from dagrow.layout import TensorLayout
from dagrow.ops import ACTIVATIONS
from dagrow.spec.graph import NodeSpec
from dagrow.stages.base import NodeTail, Stage


class ActivationStage(Stage):
    """A function of each value."""

    name = "activation"

    def used(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return node.activation != "identity"

    def has_layer(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return True

    def module(self, node: NodeSpec, shape: TensorLayout) -> nn.Module:
        return ACTIVATIONS[node.activation].module()

    def export_line(self, node: NodeSpec, shape: TensorLayout) -> str | None:
        own = ACTIVATIONS[node.activation]
        return None if own.call else own.export_line

    def template(self, node: NodeSpec) -> str:
        return ACTIVATIONS[node.activation].call

    def keeps_units(self, node: NodeSpec) -> bool:
        return ACTIVATIONS[node.activation].homogeneous

    def run(self, name: str, node: NodeSpec, shape: TensorLayout, x: Tensor, how: NodeTail) -> Tensor:
        own = ACTIVATIONS[node.activation]
        return own.function(x) if how.activation is None else how.activation(own, x)
