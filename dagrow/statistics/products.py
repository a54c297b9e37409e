"""Products of feature blocks, summed over samples and positions.

Features of a node come as blocks ``[samples, positions, features of one edge]`` with a constant 1 last;
they are never copied into one matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dagrow.ops import dot_over_samples

_WIDE = 384
"""From here a symmetric product is made of halves, so that the lower triangle is not computed."""


def with_constant(blocks: Sequence[Tensor]) -> list[Tensor]:
    """The blocks and the feature that is always 1."""
    n, positions = blocks[0].shape[:2]
    return [*blocks, blocks[0].new_ones(1, 1, 1).expand(n, positions, 1)]


def gram(blocks: Sequence[Tensor], weights: Tensor | None = None) -> Tensor:
    """``sum B^T w B`` over samples and positions: ``[F, F]``.

    Args:
        blocks: together ``[samples, positions, F]``.
        weights: ``[positions]``, 1 if left out.
    """
    parts = [piece for block in blocks for piece in _halves(block)]
    left = parts if weights is None else [part * weights.unsqueeze(1) for part in parts]
    sizes = [part.shape[2] for part in parts]
    starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    total = parts[0].new_empty(starts[-1], starts[-1])
    for i in range(len(parts)):
        for j in range(i, len(parts)):
            product = dot_over_samples(left[i], parts[j])
            total[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] = product
            if i != j:
                total[starts[j] : starts[j + 1], starts[i] : starts[i + 1]] = product.T
    return total


def dot(blocks: Sequence[Tensor], right: Tensor) -> Tensor:
    """``sum B^T R``: ``[F, M]`` for ``R [samples, positions, M]``."""
    return torch.cat([dot_over_samples(block, right) for block in blocks])


def _halves(block: Tensor) -> Sequence[Tensor]:
    width = block.shape[2]
    return torch.split(block, (width + 1) // 2, dim=2) if width >= _WIDE else (block,)
