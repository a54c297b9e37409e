"""The norms of a node, and how each takes in new features."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dagrow.ops.base import Shape, ShapeError, channels
from dagrow.ops.cap_norm import CapNorm
from dagrow.ops.norm_base import Norm, vector_or_map


class BatchNorm(Norm):
    """``nn.BatchNorm1d`` on vectors, ``nn.BatchNorm2d`` on maps."""

    name = "batch"
    per_feature = True
    over_samples = True

    def module(self, shape: Shape) -> nn.Module:
        return vector_or_map(self.name, shape, nn.BatchNorm1d, nn.BatchNorm2d)(channels(shape))

    def export_line(self, shape: Shape) -> str:
        return f"nn.{vector_or_map(self.name, shape, 'BatchNorm1d', 'BatchNorm2d')}({channels(shape)})"

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
    """``nn.LayerNorm`` over the features of a vector or token, ``nn.GroupNorm`` with one group on maps."""

    name = "layer"
    per_feature = False

    def module(self, shape: Shape) -> nn.Module:
        self._check(shape)
        return nn.GroupNorm(1, shape[0]) if len(shape) == 3 else nn.LayerNorm(shape[-1])

    def export_line(self, shape: Shape) -> str:
        self._check(shape)
        return f"nn.GroupNorm(1, {shape[0]})" if len(shape) == 3 else f"nn.LayerNorm({shape[-1]})"

    def _check(self, shape: Shape) -> None:
        if math.prod(shape if len(shape) == 3 else shape[-1:]) == 1:
            raise ShapeError(
                "norm 'layer' over a single value is 0 for every sample; give the node more features or another norm"
            )


NORMS: dict[str, Norm] = {norm.name: norm for norm in (BatchNorm(), LayerNorm(), CapNorm())}
