"""Correlations of a map with itself, shifted: what the patches of a convolution share, without the patches.

The feature ``(c, a)`` of a convolution of stride 1 is channel c seen through kernel offset a. The product of two
features, summed over the output map, depends on the offsets a and b only by the lag ``b - a`` and by which rows and
columns the window of a leaves out: some at the borders. So the map is cut at the borders of all windows, each block
is correlated with the map at every lag once, and each window is a union of blocks.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from dagrow.work import spend

_THIN = 4
"""Rows or columns below which a block is a border."""


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


def windows(
    maps: Tensor,
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    stride: tuple[int, int],
    extents: tuple[int, int],
) -> Tensor:
    """A view ``[n, c, *kernel, *extents]`` of maps ``[n, c, H, W]``: at each kernel offset, what each position sees."""
    maps = maps.contiguous()
    per_map, per_channel, per_row, per_column = maps.stride()
    return maps.as_strided(
        (*maps.shape[:2], *kernel, *extents),
        (
            per_map,
            per_channel,
            dilation[0] * per_row,
            dilation[1] * per_column,
            stride[0] * per_row,
            stride[1] * per_column,
        ),
    )


def patch_gram(x: Tensor, rows: Axis, columns: Axis) -> Tensor:
    """``sum of B^T B`` over samples and positions of the patches ``B`` of a convolution of stride 1.

    Args:
        x: ``[samples, channels, height, width]``.
        rows: the axis downwards.
        columns: the axis to the right.

    Returns:
        ``[F, F]`` with ``F = channels * kernel positions``, channel major.
    """
    channels, lags = x.shape[1], (2 * rows.kernel - 1, 2 * columns.kernel - 1)
    down, right = rows.reach, columns.reach
    around = nn.functional.pad(x, (right, right, down, down))
    gram = x.new_zeros(rows.kernel, columns.kernel, channels, rows.kernel, columns.kernel, channels)
    for (top, bottom), (left, end) in itertools.product(rows.blocks, columns.blocks):
        inside = [
            (i, j)
            for i, (first, last) in enumerate(rows.windows)
            for j, (start, stop) in enumerate(columns.windows)
            if first <= top and bottom <= last and start <= left and end <= stop
        ]
        if not inside:
            continue
        block = x[:, :, top:bottom, left:end]
        seen = around[:, :, top : bottom + 2 * down, left : end + 2 * right]
        by_lag = _correlation(block, seen, lags, (rows.dilation, columns.dilation))
        for i, j in inside:
            # The lag of offset b is b - a, which stands at b - a + kernel - 1.
            own = by_lag[:, :, rows.kernel - 1 - i :, columns.kernel - 1 - j :]
            gram[i, j] += own[:, :, : rows.kernel, : columns.kernel].permute(0, 2, 3, 1)
    return gram.permute(2, 0, 1, 5, 3, 4).reshape(channels * rows.kernel * columns.kernel, -1)


def _correlation(block: Tensor, seen: Tensor, lags: tuple[int, int], dilation: tuple[int, int]) -> Tensor:
    """``[channels of block, channels of seen, lags]``: sums over samples and positions."""
    spend(block.numel() * seen.shape[1] * lags[0] * lags[1])
    if min(block.shape[2:]) >= _THIN:
        shape = (block.shape[1], seen.shape[1], *lags)
        found: Tensor = conv2d_weight(seen, shape, block, (1, 1), (0, 0), dilation)  # type: ignore[no-untyped-call]
        return found
    # Convolutions are slow on borders one pixel wide: the products are made of a copy, channels and lags first.
    extents = (block.shape[2], block.shape[3])
    views = windows(seen.transpose(0, 1), lags, dilation, (1, 1), extents).permute(0, 2, 3, 1, 4, 5)
    product = block.transpose(0, 1).flatten(1) @ views.reshape(-1, block[:, 0].numel()).T
    return torch.unflatten(product, 1, (seen.shape[1], *lags))
