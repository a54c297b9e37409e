"""The norms of a node, and how each takes in new features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from dagrow.ops.base import Shape, ShapeError, channels


class Norm(ABC):
    """What dagrow knows about one kind of norm."""

    name: ClassVar[str]
    per_feature: ClassVar[bool]
    """Whether each feature is normalised by itself, so that a new one leaves the others as they are."""
    joins_samples: ClassVar[bool]
    """Whether a sample is normalised, in training, by the others of its batch."""

    @abstractmethod
    def module(self, shape: Shape) -> nn.Module:
        """The ``nn`` layer for values of this shape.

        Raises:
            ShapeError: if this norm cannot take the shape.
        """

    @abstractmethod
    def export_line(self, shape: Shape) -> str:
        """The Python expression of the layer."""

    def normalise(self, z: Tensor, mean: Tensor, variance: Tensor, module: nn.Module) -> Tensor:
        """New features as the layer will normalise them, given their mean and variance over the samples."""
        raise ShapeError(f"norm '{self.name}' cannot take in new features")

    def new_entries(self, mean: Tensor, variance: Tensor) -> dict[str, Tensor]:
        """What the layer's parameters and buffers hold for new features."""
        raise ShapeError(f"norm '{self.name}' cannot take in new features")


class BatchNorm(Norm):
    """``nn.BatchNorm1d`` on vectors, ``nn.BatchNorm2d`` on maps."""

    name = "batch"
    per_feature = True
    joins_samples = True

    def _kind(self, shape: Shape) -> str:
        if len(shape) == 2:
            raise ShapeError("norm 'batch' takes vectors or maps, not tokens; use 'layer'")
        return "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d"

    def module(self, shape: Shape) -> nn.Module:
        kinds = {"BatchNorm1d": nn.BatchNorm1d, "BatchNorm2d": nn.BatchNorm2d}
        return kinds[self._kind(shape)](channels(shape))

    def export_line(self, shape: Shape) -> str:
        return f"nn.{self._kind(shape)}({channels(shape)})"

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
    joins_samples = False

    def module(self, shape: Shape) -> nn.Module:
        return nn.GroupNorm(1, shape[0]) if len(shape) == 3 else nn.LayerNorm(shape[-1])

    def export_line(self, shape: Shape) -> str:
        return f"nn.GroupNorm(1, {shape[0]})" if len(shape) == 3 else f"nn.LayerNorm({shape[-1]})"


NORMS: dict[str, Norm] = {norm.name: norm for norm in (BatchNorm(), LayerNorm())}
