"""Positions of a node become features."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.layout import TensorLayout
from dagrow.spec.graph import NodeSpec
from dagrow.stages.base import FunctionCall, NodeTail, Stage
from dagrow.stages.pool import FLATTEN


class FlattenStage(Stage):
    """One vector of all values; nothing where they are one already."""

    name = "flatten"

    def used(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return node.flatten and bool(shape.positions)

    def output(self, node: NodeSpec, shape: TensorLayout) -> TensorLayout:
        return shape.flat()

    def calls(self, node: NodeSpec, shape: TensorLayout) -> tuple[FunctionCall, ...]:
        return (FunctionCall(torch.flatten, (1,), "flat", FLATTEN),)

    def why_fixed(self, name: str, node: NodeSpec, shape: TensorLayout) -> str:
        if shape.order == "channels_last" and shape.position_count > 1:
            return f"'{name}' flattens tokens, which would tear a new feature into pieces"
        return ""

    def run(self, name: str, node: NodeSpec, shape: TensorLayout, x: Tensor, how: NodeTail) -> Tensor:
        return x.flatten(1)
