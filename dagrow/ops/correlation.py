"""Correlations of a map with itself, shifted: what the patches of a convolution share, without the patches.

The feature ``(c, a)`` of a convolution of stride 1 is channel c seen through kernel offset a. The product of two
features, summed over the output map, depends on the offsets a and b only by the lag ``b - a`` and by which rows and
columns the window of a leaves out: some at the borders. So the map is cut at the borders of all windows, each block
is correlated with the map at every lag once, and each window is a union of blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import grad

from dagrow.flop_counter import spend

_THIN = 4
"""Rows or columns below which a block is a border."""
_WEIGHT_GRADIENTS = (grad.conv1d_weight, grad.conv2d_weight, grad.conv3d_weight)


class Axis(NamedTuple):
    """One axis of a convolution of stride 1.

    Attributes:
        kernel: offsets.
        margin: zeros before and after the map.
        dilation: step between offsets.
        extent: of the map.
    """

    kernel: int
    margin: int
    dilation: int
    extent: int

    @property
    def reach(self) -> int:
        """The largest lag."""
        return self.dilation * (self.kernel - 1)

    @property
    def windows(self) -> list[tuple[int, int]]:
        """The positions of the map that each offset sees, from and to."""
        written = self.extent + 2 * self.margin - self.reach
        starts = [self.dilation * offset - self.margin for offset in range(self.kernel)]
        return [(min(max(start, 0), self.extent), max(min(start + written, self.extent), 0)) for start in starts]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """The pieces between the borders of all windows."""
        cuts = sorted({0, self.extent, *itertools.chain(*self.windows)})
        return list(itertools.pairwise(cuts))

    def seeing(self, block: tuple[int, int]) -> list[int]:
        """The offsets whose window covers a block."""
        start, stop = block
        return [offset for offset, (first, last) in enumerate(self.windows) if first <= start and stop <= last]


def windows(
    maps: Tensor,
    kernel: Sequence[int],
    dilation: Sequence[int],
    stride: Sequence[int],
    extents: Sequence[int],
) -> Tensor:
    """A view ``[n, c, *kernel, *extents]`` of maps ``[n, c, ...]``: at each kernel offset, what each position sees."""
    maps = maps.contiguous()
    per_map, per_channel, *per_step = maps.stride()
    within = [d * step for d, step in zip(dilation, per_step, strict=True)]
    across = [s * step for s, step in zip(stride, per_step, strict=True)]
    return maps.as_strided((*maps.shape[:2], *kernel, *extents), (per_map, per_channel, *within, *across))


def weight_gradient(
    x: Tensor,
    shape: Sequence[int],
    v: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """Gradient of ``sum(v * convolution(x, weight))`` by a weight of that shape, over any number of axes."""
    by_weight = _WEIGHT_GRADIENTS[len(shape) - 3]
    gradient: Tensor = by_weight(x, shape, v, stride, padding, dilation, groups)  # type: ignore[no-untyped-call]
    return gradient


def patch_gram(x: Tensor, axes: Sequence[Axis]) -> Tensor:
    """``sum of B^T B`` over samples and positions of the patches ``B`` of a convolution of stride 1.

    Args:
        x: ``[samples, channels, ...]``.
        axes: of the positions, in their order.

    Returns:
        ``[F, F]`` with ``F = channels * kernel positions``, channel major.
    """
    channels, kernel = x.shape[1], [axis.kernel for axis in axes]
    lags = [2 * axis.kernel - 1 for axis in axes]
    around = nn.functional.pad(x, [reach for axis in reversed(axes) for reach in (axis.reach, axis.reach)])
    gram = x.new_zeros(*kernel, channels, *kernel, channels)
    for block in itertools.product(*(axis.blocks for axis in axes)):
        inside = list(itertools.product(*(axis.seeing(own) for axis, own in zip(axes, block, strict=True))))
        if not inside:
            continue
        own = [slice(start, stop) for start, stop in block]
        seen = [slice(start, stop + 2 * axis.reach) for axis, (start, stop) in zip(axes, block, strict=True)]
        by_lag = _correlation(x[:, :, *own], around[:, :, *seen], lags, [axis.dilation for axis in axes])
        for offsets in inside:
            # The lag of offset b is b - a, which stands at b - a + kernel - 1.
            starts = [axis.kernel - 1 - offset for axis, offset in zip(axes, offsets, strict=True)]
            part = [slice(start, start + axis.kernel) for axis, start in zip(axes, starts, strict=True)]
            gram[offsets] += by_lag[:, :, *part].movedim(1, -1)
    count = len(axes)
    order = (count, *range(count), 2 * count + 1, *range(count + 1, 2 * count + 1))
    return gram.permute(order).reshape(channels * math.prod(kernel), -1)


def _correlation(block: Tensor, seen: Tensor, lags: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """``[channels of block, channels of seen, *lags]``: sums over samples and positions."""
    spend(block.numel() * seen.shape[1] * math.prod(lags))
    count = len(lags)
    if min(block.shape[2:]) >= _THIN:
        shape = (block.shape[1], seen.shape[1], *lags)
        return weight_gradient(seen, shape, block, (1,) * count, (0,) * count, dilation)
    # Convolutions are slow on borders one pixel wide: the products are made of a copy, channels and lags first.
    views = windows(seen.transpose(0, 1), lags, dilation, (1,) * count, block.shape[2:])
    views = views.permute(0, *range(2, 2 + count), 1, *range(2 + count, 2 + 2 * count))
    product = block.transpose(0, 1).flatten(1) @ views.reshape(-1, block[:, 0].numel()).T
    return torch.unflatten(product, 1, (seen.shape[1], *lags))
