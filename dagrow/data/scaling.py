"""How the stored numbers become those that the network reads: bytes to [0, 1], and standardizing."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.data.raw import pieces
from dagrow.data.samples import Transform
from dagrow.layout import TensorLayout


def transform_of(train: Tensor, layout: TensorLayout, *, standardize: bool) -> Transform | None:
    """The transform that training inputs of this layout call for, None where the stored values will do.

    Standardizing makes each feature (channel) of the training inputs mean 0 and deviation 1. The divisor of
    bytes cancels out there. It computes in float64 where the source did: a column of time stamps
    has its variation in digits that float32 drops.
    """
    if standardize:
        mean, deviation = (layout.per_channel(moment) for moment in _moments(train, layout))
        dtype = torch.float32 if train.dtype in (torch.uint8, torch.float32) else torch.float64
        return Transform(mean.to(dtype), deviation.to(dtype))
    if train.dtype == torch.uint8:
        return Transform(torch.tensor(0.0), torch.tensor(255.0))
    return None


def settle(stored: Tensor, transform: Transform | None) -> tuple[Tensor, Transform | None]:
    """Converts now what takes no more memory as float32; bytes stay bytes, and keep their transform."""
    if stored.dtype == torch.uint8:
        return stored, transform
    if transform is None:
        return stored.float(), None
    settled = torch.empty(stored.shape)
    for rows, part in pieces(stored):
        settled[rows] = transform(part)
    return settled, None


def _moments(x: Tensor, layout: TensorLayout) -> tuple[Tensor, Tensor]:
    """Mean and deviation per feature, in float64; the deviation of a constant feature is infinite.

    Two passes, since the difference of two large sums would lose a small variance.
    """
    features = layout.channels
    count = x.numel() / features
    total, squares = torch.zeros(2, features, dtype=torch.float64)
    low, high = torch.tensor([[torch.inf], [-torch.inf]], dtype=torch.float64).expand(2, features)
    for _, part in pieces(x):
        rows = layout.to_positions(part).flatten(0, 1).double()
        total += rows.sum(0)
        low, high = torch.minimum(low, rows.amin(0)), torch.maximum(high, rows.amax(0))
    mean = total / count
    for _, part in pieces(x):
        squares += (layout.to_positions(part).flatten(0, 1).double() - mean).square_().sum(0)
    # Rounding of the mean may leave a constant feature a tiny variance, so that is not what is asked.
    return mean, (squares / count).sqrt().masked_fill(low == high, torch.inf)
