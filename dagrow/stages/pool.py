"""The pool of a node."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dagrow.layout import TensorLayout
from dagrow.ops import Pool
from dagrow.spec.graph import NodeSpec
from dagrow.stages.base import FunctionCall, NodeTail, Stage

FLATTEN = "torch.flatten({}, start_dim=1)"


class PoolStage(Stage):
    """Fewer positions, or more."""

    name = "pool"

    def used(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return node.pool is not None

    def output(self, node: NodeSpec, shape: TensorLayout) -> TensorLayout:
        return _pool(node).output_shape(shape)

    def has_layer(self, node: NodeSpec, shape: TensorLayout) -> bool:
        return _pool(node).module(shape) is not None

    def module(self, node: NodeSpec, shape: TensorLayout) -> nn.Module:
        layer = _pool(node).module(shape)
        assert layer is not None
        return layer

    def export_line(self, node: NodeSpec, shape: TensorLayout) -> str | None:
        return _pool(node).export_line(shape) if self.has_layer(node, shape) else None

    def calls(self, node: NodeSpec, shape: TensorLayout) -> tuple[FunctionCall, ...]:
        if not self.has_layer(node, shape):
            axes = shape.position_axes if len(shape.positions) > 1 else shape.position_axes[0]
            return (FunctionCall("mean", (axes,), "pooled", f"torch.mean({{}}, dim={axes})"),)
        if self.output(node, shape).positions:
            return ()
        # A global average leaves extents of 1.
        return (FunctionCall(torch.flatten, (1,), "pooled", FLATTEN),)

    def run(self, name: str, node: NodeSpec, shape: TensorLayout, x: Tensor, how: NodeTail) -> Tensor:
        return _pool(node).functional(x, shape)


def _pool(node: NodeSpec) -> Pool:
    assert node.pool is not None
    return node.pool
