"""Weights of samples, as scikit-learn means them: a weight of 2 is the row given twice, 0 is the row left out.

Whole numbers are taken at their word, and rows are repeated. Other weights multiply the loss of their sample, whose
mean over all samples is minimised; they are scaled to a mean of 1 first, so that learning rates keep their meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

MOST_REPEATS = 10
"""Rows for each row that was given, on the average, up to which whole-number weights repeat rows."""


class Rows(NamedTuple):
    """Rows to train on, in an order that does not depend on how they were given.

    Attributes:
        x: ``[samples, features]``.
        y: ``[samples]`` or ``[samples, targets]``.
        weights: ``[samples]``, of mean 1; None where all rows count the same.
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None


def weighted_rows(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> Rows:
    """Rows with their weights; equal sets of rows give equal answers, whatever their order.

    Args:
        x: ``[samples, features]``, no NaN.
        y: ``[samples]`` or ``[samples, targets]``.
        weights: ``[samples]``, from 0; None where all count the same.

    Raises:
        ValueError: if a weight is below 0, or all are 0.
    """
    if weights is not None:
        if (weights < 0).any():
            raise ValueError("sample weights must not be negative")
        there = weights > 0
        if not there.any():
            raise ValueError("all sample weights are zero: there is nothing to learn from")
        x, y, weights = x[there], y[there], weights[there]
        if (weights == weights[0]).all() and weights[0] != np.round(weights[0]):
            weights = None
        elif np.array_equal(weights, np.round(weights)) and weights.sum() <= MOST_REPEATS * len(weights):
            repeats = weights.astype(np.int64)
            x, y, weights = np.repeat(x, repeats, axis=0), np.repeat(y, repeats, axis=0), None
    keys = [*x.T[::-1], *np.atleast_2d(y.T)[::-1]]
    order = np.lexsort([*([] if weights is None else [weights]), *keys])
    scaled = None if weights is None else weights[order] / weights.mean()
    return Rows(x[order], y[order], scaled)


def weighted_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Mean over samples of weight times cross-entropy.

    Args:
        output: ``[samples, classes]``, logits.
        target: ``[samples, 2]``: label and weight.
    """
    each = functional.cross_entropy(output, target[:, 0].long(), reduction="none")
    return (target[:, 1] * each).mean()


def weighted_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean over samples of weight times squared error.

    Args:
        output: ``[samples, targets]``.
        target: ``[samples, targets + 1]``: values and weight.
    """
    return (target[:, -1:] * (output - target[:, :-1]).square()).mean()


Loss = Callable[[Tensor, Tensor], Tensor]


def packed(targets: np.ndarray, weights: np.ndarray) -> Tensor:
    """Targets ``[samples]`` or ``[samples, n]`` with their weights in one more column."""
    columns = targets.reshape(len(targets), -1)
    return torch.from_numpy(np.column_stack([columns, weights]).astype(np.float32))
