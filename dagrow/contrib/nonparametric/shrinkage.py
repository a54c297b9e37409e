"""Shrinkage: the proximal steps of l1 and l2 penalties on groups of weights (Philipp & Carbonell 2017, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor


def group_factor(squares: Tensor, amount: float) -> Tensor:
    """By what each group is multiplied where its Euclidean length is penalised: all are shorter by the same amount.

    Args:
        squares: squared lengths.
        amount: step size times the strength of the penalty.

    Returns:
        ``max(0, 1 - amount / length)``, exactly 0 for groups no longer than the amount.
    """
    length = squares.sqrt()
    return torch.where(length > amount, 1 - amount / length, 0.0)


def soft_threshold(weights: Tensor, amount: float) -> Tensor:
    """Each weight nearer to 0 by an amount: the step of an l1 penalty, whatever the groups.

    Args:
        weights: of any shape.
        amount: step size times the strength of the penalty.
    """
    return weights.sign() * (weights.abs() - amount).clamp(min=0)
