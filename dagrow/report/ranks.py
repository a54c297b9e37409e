"""Spearman's rank correlation."""

from __future__ import annotations

from collections.abc import Sequence


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's correlation of the ranks, ties sharing their mean rank; None below three pairs or without spread."""
    if len(pairs) < 3:
        return None
    first, second = (_centred_ranks([pair[side] for pair in pairs]) for side in (0, 1))
    spread = (sum(a * a for a in first) * sum(b * b for b in second)) ** 0.5
    return sum(a * b for a, b in zip(first, second, strict=True)) / spread if spread > 0 else None


def _centred_ranks(values: Sequence[float]) -> list[float]:
    """Ranks less their mean."""
    below = [sum(other < value for other in values) for value in values]
    equal = [sum(other == value for other in values) for value in values]
    return [b + (e - 1) / 2 - (len(values) - 1) / 2 for b, e in zip(below, equal, strict=True)]
