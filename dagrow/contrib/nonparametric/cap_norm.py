"""CapNorm: batch norm that makes values smaller, never larger (Philipp & Carbonell 2017, 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dagrow.layout import Shape, TensorLayout
from dagrow.ops.norm_base import Norm, batch_norm_of


class CappedBatchNorm(nn.Module):
    """``(z - mean) / max(deviation, 1)`` over samples and positions, without learned numbers.

    In eval mode by running averages, as of ``nn.BatchNorm2d(affine=False, eps=0)``, whose state this has:
    ``running_var`` is that of the capped variance, so it is 1 at least.

    Args:
        num_features: size of axis 1.
        momentum: share of a batch in the running averages.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features, self.momentum = num_features, momentum
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, z: Tensor) -> Tensor:
        """Values ``[samples, features, ...]`` to normalised ones."""
        if not self.training:
            return functional.batch_norm(z, self.running_mean, self.running_var, eps=0.0)
        normal, mean, variance = capped(z)
        with torch.no_grad():
            count = z.numel() // z.shape[1]
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            unbiased = (variance * count / max(1, count - 1)).clamp(min=1)
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        return normal

    def extra_repr(self) -> str:
        """The size, as torch's norms print it."""
        return f"{self.num_features}, momentum={self.momentum}"


def capped(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised values, and the mean and (biased) variance per feature that they came from."""
    axes = [0, *range(2, z.dim())]
    variance, mean = torch.var_mean(z, axes, correction=0)
    shape = (1, -1, *[1] * (z.dim() - 2))
    return (z - mean.view(shape)) * variance.clamp(min=1).rsqrt().view(shape), mean, variance


class CapNorm(Norm):
    """`CappedBatchNorm` on vectors and maps; the exported layer is the batch norm that evaluates alike."""

    name = "cap_batch"
    per_feature = True
    over_samples = True
    scale_invariant = False
    parameters_per_feature = 0

    def check(self, shape: Shape) -> None:
        """Refuses tokens, as a batch norm does."""
        batch_norm_of(self.name, shape)

    def module(self, shape: Shape) -> nn.Module:
        """The layer that trains."""
        self.check(shape)
        return CappedBatchNorm(TensorLayout.of(shape).channels)

    def export_line(self, shape: Shape) -> str:
        """The batch norm of torch that evaluates alike."""
        kind = batch_norm_of(self.name, shape).__name__
        return f"nn.{kind}({TensorLayout.of(shape).channels}, eps=0.0, affine=False)"

    def normalise(self, z: Tensor, mean: Tensor, variance: Tensor, module: nn.Module) -> Tensor:
        """As the layer does, in its mode."""
        if module.training:
            return capped(z)[0]
        return functional.batch_norm(z, mean, variance.clamp(min=1), eps=0.0)

    def new_entries(self, mean: Tensor, variance: Tensor) -> dict[str, Tensor]:
        """Running averages of new features."""
        return {"running_mean": mean, "running_var": variance.clamp(min=1)}
