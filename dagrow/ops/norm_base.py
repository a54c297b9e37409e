"""What dagrow knows about a norm of a node: the interface that each norm fills in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from dagrow.layout import Shape, TensorLayout
from dagrow.ops.base import ShapeError
from dagrow.ops.meta_layer import expression


class Norm(ABC):
    """What dagrow knows about one kind of norm."""

    name: ClassVar[str]
    per_feature: ClassVar[bool]
    """Whether each feature is normalised by itself, so that a new one leaves the others as they are."""
    over_samples: ClassVar[bool] = False
    """Whether mean and variance are taken over the samples of a batch, of which it then needs two."""
    scale_invariant: ClassVar[bool] = True
    """Whether a feature comes out the same however small its fan-in is."""
    parameters_per_feature: ClassVar[int] = 2
    """Learned numbers: a scale and a shift, unless a norm has none."""

    def check(self, shape: Shape) -> None:  # noqa: B027 - most norms take any shape
        """Says whether the norm can take values of this shape, without making a layer.

        Raises:
            ShapeError: if it cannot.
        """

    @abstractmethod
    def module(self, shape: Shape) -> nn.Module:
        """The ``nn`` layer for values of this shape.

        Raises:
            ShapeError: if this norm cannot take the shape.
        """

    def export_line(self, shape: Shape) -> str:
        """The Python expression of the layer; by default, read off the layer."""
        with torch.device("meta"):
            return expression(self.module(shape), self.name)

    def normalise(self, z: Tensor, mean: Tensor, variance: Tensor, module: nn.Module) -> Tensor:
        """New features as the layer will normalise them, given their mean and variance over the samples."""
        raise ShapeError(f"norm '{self.name}' cannot take in new features")

    def scaled(self, z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Normalised features times the layer's weight plus its bias, one of each per feature."""
        shape = (1, -1, *[1] * (z.dim() - 2))
        return z * weight.view(shape) + bias.view(shape)

    def new_entries(self, mean: Tensor, variance: Tensor) -> dict[str, Tensor]:
        """What the layer's parameters and buffers hold for new features."""
        raise ShapeError(f"norm '{self.name}' cannot take in new features")


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""The layer for values with so many axes of positions: vectors, series, maps, volumes."""


def batch_norm_of(name: str, shape: Shape) -> type[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]:
    """What torch has for a norm over the samples of values of this shape.

    Raises:
        ShapeError: for tokens, whose samples and positions no torch layer normalises together.
    """
    layout = TensorLayout.of(shape)
    if layout.order == "channels_last":
        raise ShapeError(f"norm '{name}' takes vectors or maps, not tokens; use 'layer'")
    return BATCH_NORMS[len(layout.positions)]
