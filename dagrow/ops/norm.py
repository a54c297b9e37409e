"""The norms of a node, and how each takes in new features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dagrow.layout import Shape, TensorLayout
from dagrow.ops.base import ShapeError
from dagrow.ops.norm_base import Norm, batch_norm_of
from dagrow.registry import Registry


class BatchNorm(Norm):
    """``nn.BatchNorm1d`` on vectors and series, ``nn.BatchNorm2d`` on maps, ``nn.BatchNorm3d`` on volumes."""

    name = "batch"
    per_feature = True
    over_samples = True

    def check(self, shape: Shape) -> None:
        batch_norm_of(self.name, shape)

    def module(self, shape: Shape) -> nn.Module:
        return batch_norm_of(self.name, shape)(TensorLayout.of(shape).channels)

    def normalise(self, z: Tensor, mean: Tensor, variance: Tensor, module: nn.Module) -> Tensor:
        eps = float(getattr(module, "eps", 1e-5))
        if module.training:
            return nn.functional.batch_norm(z, None, None, training=True, eps=eps)
        return nn.functional.batch_norm(z, mean, variance, training=False, eps=eps)

    def new_entries(self, mean: Tensor, variance: Tensor) -> dict[str, Tensor]:
        return {
            "weight": torch.ones_like(mean),
            "bias": torch.zeros_like(mean),
            "running_mean": mean,
            "running_var": variance,
        }


class LayerNorm(Norm):
    """``nn.LayerNorm`` over the features of a vector or token, one group where channels are first."""

    name = "layer"
    per_feature = False

    def check(self, shape: Shape) -> None:
        layout = TensorLayout.of(shape)
        if (math.prod(layout) if layout.order == "channels_first" else layout.channels) == 1:
            raise ShapeError(
                "norm 'layer' over a single value is 0 for every sample; give the node more features or another norm"
            )

    def module(self, shape: Shape) -> nn.Module:
        layout = TensorLayout.of(shape)
        grouped = layout.order == "channels_first"
        return nn.GroupNorm(1, layout.channels) if grouped else nn.LayerNorm(layout.channels)


class RmsNorm(Norm):
    """``nn.RMSNorm`` over the features of a vector or token: their root mean square becomes 1, their mean stays."""

    name = "rms"
    per_feature = False
    parameters_per_feature = 1

    def check(self, shape: Shape) -> None:
        layout = TensorLayout.of(shape)
        if layout.order == "channels_first":
            raise ShapeError("norm 'rms' takes vectors or tokens, not maps; use 'layer'")
        if layout.channels == 1:
            raise ShapeError("norm 'rms' over a single value leaves its sign; give the node more features")

    def module(self, shape: Shape) -> nn.Module:
        return nn.RMSNorm(TensorLayout.of(shape).channels)


NORMS: Registry[Norm] = Registry(
    "norm", {norm.name: norm for norm in (BatchNorm(), LayerNorm(), RmsNorm())}, reserved=("none",)
)
