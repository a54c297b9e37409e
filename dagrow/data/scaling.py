"""How the stored numbers become those that the network reads: bytes to [0, 1], and standardizing."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.data.fit import CHUNK
from dagrow.data.samples import Transform
from dagrow.ops import Shape, channels, to_positions


def transform_of(train: Tensor, *, standardize: bool) -> Transform | None:
    """The transform that the training inputs call for, None where the stored values will do.

    Standardizing makes each feature (channel) of the training inputs mean 0 and deviation 1. The divisor of
    bytes cancels out there. It computes in float64 where the source did: a column of time stamps
    has its variation in digits that float32 drops.
    """
    if standardize:
        mean, deviation = _moments(train)
        dtype = torch.float64 if train.dtype == torch.float64 else torch.float32
        shape = _broadcast(tuple(train.shape[1:]))
        return Transform(mean.to(dtype).reshape(shape), deviation.to(dtype).reshape(shape))
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
    for start in range(0, len(stored), CHUNK):
        settled[start : start + CHUNK] = transform(stored[start : start + CHUNK])
    return settled, None


def _broadcast(shape: Shape) -> Shape:
    count = channels(shape)
    return (count, 1, 1) if len(shape) == 3 else (count,)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation per feature, in float64; the deviation of a constant feature is infinite.

    Two passes, since the difference of two large sums would lose a small variance.
    """
    chunks = x.split(CHUNK)
    count = x.numel() / channels(tuple(x.shape[1:]))
    mean = torch.stack([_rows(part).sum(0) for part in chunks]).sum(0) / count
    variance = torch.stack([(_rows(part) - mean).square_().sum(0) for part in chunks]).sum(0) / count
    low = torch.stack([_rows(part).amin(0) for part in chunks]).amin(0)
    high = torch.stack([_rows(part).amax(0) for part in chunks]).amax(0)
    # Rounding of the mean may leave a constant feature a tiny variance, so that is not what is asked.
    return mean, variance.sqrt().masked_fill(low == high, torch.inf)


def _rows(x: Tensor) -> Tensor:
    return to_positions(x).flatten(0, 1).double()
