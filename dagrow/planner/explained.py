"""What share of a residual some features explain, many sets of features at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dagrow.flop_counter import product, spend
from dagrow.ops import Op

ROWS = 4096
"""Samples times positions that enter a fit, at most."""
AT_ONCE = 2**24
"""Entries of features that are held on the way there."""
WIDTHS = 16
"""Columns are compared in groups of one width: of multiples of this."""
RIDGE = 1e-4
FRESH = 1e-4
"""Part of a feature's square that must be new at a target: less than this is rounding, or as good as there."""


@dataclass(frozen=True)
class Residual:
    """What is to be gained at one node.

    Attributes:
        basis: ``[rows, rank]`` orthonormal, of what the node reads already.
        both: ``[rank + M, rows]``, the basis and v_proj, one below the other.
        squared: of v_proj, summed.
        gain: drop of the loss if v_proj could be had in full.
    """

    basis: Tensor
    both: Tensor
    squared: float
    gain: float


@dataclass(frozen=True)
class Columns:
    """What some sources offer: ``[rows, any]`` and its Gram matrix; 0 fills up to one of few widths."""

    values: Tensor
    gram: Tensor

    @staticmethod
    def of(parts: Sequence[Tensor]) -> Columns:
        """Of several sources, side by side."""
        values = torch.cat(list(parts), 1)
        values = nn.functional.pad(values, (0, -values.shape[1] % WIDTHS))
        return Columns(values, product(values.T, values))


def position_rows(x: Tensor) -> Tensor:
    """``[n, positions, any]`` to rows, a fixed part of them where they are many."""
    flat = x.flatten(0, 1)
    return flat[:: -(-len(flat) // ROWS)]


def feature_rows(op: Op, x: Tensor) -> Tensor:
    """The same rows of the features of many samples, of which few are held at a time."""
    positions, width = op.features(x[:1]).shape[1:]
    step, at_once = -(-len(x) * positions // ROWS), max(1, AT_ONCE // (positions * width))
    parts = []
    for start in range(0, len(x), at_once):
        flat = op.features(x[start : start + at_once]).flatten(0, 1)
        # A view would keep all of them.
        parts.append(flat[-start * positions % step :: step].clone())
    return torch.cat(parts)


def explained_shares(columns: Sequence[Columns], residual: Residual) -> list[float]:
    """The share of v_proj that each of some columns explain beyond what is there, adjusted for their number."""
    size, rank = residual.basis.shape
    values = torch.stack([c.values for c in columns])
    spend(residual.both.shape[0] * values.numel())
    known, explained = (residual.both @ values).tensor_split([rank], dim=1)
    gram = torch.stack([c.gram for c in columns])
    # What is there already is taken off; v_proj has nothing of it.
    left = gram - known.transpose(1, 2) @ known
    squares = left.diagonal(dim1=1, dim2=2)
    fresh = squares > FRESH * gram.diagonal(dim1=1, dim2=2)
    scale = torch.where(fresh, squares.rsqrt(), 0.0)
    correlation = left * scale.unsqueeze(1) * scale.unsqueeze(2)
    # The rows of those that are not fresh are 0.
    correlation.diagonal(dim1=1, dim2=2).add_(torch.where(fresh, RIDGE, 1.0))
    L, _ = torch.linalg.cholesky_ex(correlation)
    whitened = torch.linalg.solve_triangular(L, (explained * scale.unsqueeze(1)).transpose(1, 2), upper=False)
    share = (whitened.square().sum((1, 2)) / residual.squared).nan_to_num(0.0, 1.0).clamp(max=1.0)
    count = fresh.sum(1)
    free = size - rank - 1
    adjusted = 1 - (1 - share) * free / (free - count).clamp(min=1)
    found: list[float] = torch.where(count < free, adjusted.clamp(min=0), share / 2).tolist()
    return found
