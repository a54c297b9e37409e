"""The stages of a node, one file each, in the order in which they happen; everything that runs a node goes by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from dagrow.layout import TensorLayout
from dagrow.spec.graph import NodeSpec
from dagrow.stages.activation import ActivationStage
from dagrow.stages.attention import AttentionStage
from dagrow.stages.base import FunctionCall, NodeTail, Stage
from dagrow.stages.dropout import DropoutStage
from dagrow.stages.flatten import FlattenStage
from dagrow.stages.norm import NormStage
from dagrow.stages.pool import PoolStage
from dagrow.stages.tokens import TokensStage

STAGES: tuple[Stage, ...] = (
    NormStage(),
    ActivationStage(),
    AttentionStage(),
    PoolStage(),
    FlattenStage(),
    TokensStage(),
    DropoutStage(),
)

_FLATTENS = next(index for index, stage in enumerate(STAGES) if stage.name == "flatten")
POSITIONED, FLATTENED = STAGES[:_FLATTENS], STAGES[_FLATTENS:]
"""The stages that keep positions where they are, and those from the flattening on."""


def used_stages(node: NodeSpec, merged: TensorLayout) -> Iterator[tuple[Stage, TensorLayout]]:
    """The stages that a node has, in order, each with the shape that comes to it."""
    shape = merged
    for stage in STAGES:
        if stage.used(node, shape):
            yield stage, shape
            shape = stage.output(node, shape)


def run_stages(
    name: str, node: NodeSpec, merged: TensorLayout, x: Tensor, how: NodeTail, stages: Sequence[Stage] = STAGES
) -> Tensor:
    """Some features of a node, taken through its stages beside the network.

    Args:
        name: of the node.
        node: its declaration.
        merged: shape of what it merges.
        x: values of any number of its features, as they come to the first of ``stages``.
        how: what stands in for layers.
        stages: which are passed; the others are left out.
    """
    for stage, shape in used_stages(node, merged):
        if stage in stages:
            x = stage.run(name, node, shape, x, how)
    return x


__all__ = ["FLATTENED", "POSITIONED", "STAGES", "FunctionCall", "NodeTail", "Stage", "run_stages", "used_stages"]
