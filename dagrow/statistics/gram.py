"""Products of feature blocks, summed over samples and positions.

Features of a node come as blocks ``[samples, positions, features of one edge]`` with a constant 1 last;
they are never copied into one matrix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dagrow.flop_counter import spend

_STRIP = 128
"""Columns of a symmetric product that are made at a time, so that most of the lower triangle is not computed."""


def with_constant(blocks: Sequence[Tensor], like: Tensor) -> list[Tensor]:
    """The blocks and the feature that is always 1; with no blocks, of as many samples and positions as ``like``."""
    n, positions = (blocks[0] if blocks else like).shape[:2]
    return [*blocks, like.new_ones(1, 1, 1).expand(n, positions, 1)]


def add_gram(total: Tensor, blocks: Sequence[Tensor], weights: Tensor | None = None) -> None:
    """Adds ``sum B^T w B`` over samples and positions to the upper triangle of ``total``; see `symmetric`.

    Args:
        total: ``[F, F]``.
        blocks: together ``[samples, positions, F]``.
        weights: ``[positions]``, 1 if left out.
    """
    left = blocks if weights is None else [block * weights.unsqueeze(1) for block in blocks]
    sizes = [block.shape[2] for block in blocks]
    for i, rows in enumerate(torch.split(total, sizes)):
        own, *others = torch.split(rows, sizes, dim=1)[i:]
        for start in range(0, sizes[i], _STRIP):
            strip = slice(start, start + _STRIP)
            _add_dot(own[strip, start:], left[i][..., strip], blocks[i][..., start:])
        for corner, other in zip(others, blocks[i + 1 :], strict=True):
            _add_dot(corner, left[i], other)


def symmetric(total: Tensor) -> Tensor:
    """Makes the upper triangle, which `add_gram` made, the whole of a symmetric matrix; in place."""
    upper = total.triu(1)
    return total.triu_().add_(upper.T)


def dot(blocks: Sequence[Tensor], right: Tensor) -> Tensor:
    """``sum B^T R`` over samples and positions: ``[F, M]`` for ``R [samples, positions, M]``."""
    total = right.new_zeros(sum(block.shape[2] for block in blocks), right.shape[2])
    for rows, block in zip(torch.split(total, [block.shape[2] for block in blocks]), blocks, strict=True):
        _add_dot(rows, block, right)
    return total


def _add_dot(total: Tensor, left: Tensor, right: Tensor) -> None:
    """``[n, P, F], [n, P, M]``, added to ``[F, M]``."""
    spend(left.numel() * right.shape[2])
    if left.shape[1] == 1:
        total.addmm_(left.squeeze(1).T, right.squeeze(1))
    else:
        # One product per sample keeps both factors in the cache; the sum over samples is cheap.
        total.add_(torch.bmm(left.transpose(1, 2), right).sum(0))
