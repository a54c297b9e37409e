"""Choices that rounding does not make: values that agree up to rounding are equal, and a rule decides between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, TypeVar

from torch import Tensor

AGREE = 1e-4
"""Relative difference below which two values that were computed in float32 count as equal. Rounding is 6e-8 for one
operation; sums, factorisations and searches on the way make some hundred times that."""

Item = TypeVar("Item")


def best_first(
    items: Sequence[Item],
    value: Callable[[Item], float],
    rule: Callable[[Item], Any],
    slack: Callable[[Item], float] = lambda item: 0.0,
) -> list[Item]:
    """Items by falling value; those that agree with the best of the rest count as equal to it, and go by the rule.

    Args:
        items: to be sorted.
        value: the higher, the better; not NaN.
        rule: what is smaller goes first among equals; no two items should have the same.
        slack: what two values may differ by and still agree, besides `AGREE` of their size.
    """
    ordered = sorted(items, key=lambda item: (-value(item), rule(item)))
    found: list[Item] = []
    while len(found) < len(ordered):
        first = ordered[len(found)]
        equal = []
        for item in ordered[len(found) :]:
            if not _agree(value(first), value(item), max(slack(first), slack(item))):
                break
            equal.append(item)
        found += sorted(equal, key=rule)
    return found


def first_best(values: Tensor) -> int:
    """The first index of a vector whose value agrees with the highest one."""
    return int(agreeing(values).int().argmax())


def agreeing(values: Tensor) -> Tensor:
    """Which values agree with the highest one of their row, the last axis."""
    highest = values.amax(-1, keepdim=True)
    return (values == highest) | (values >= highest - AGREE * highest.abs())


def _agree(higher: float, lower: float, slack: float) -> bool:
    apart = higher - lower
    return higher == lower or (isfinite(apart) and apart <= AGREE * max(abs(higher), abs(lower)) + slack)
