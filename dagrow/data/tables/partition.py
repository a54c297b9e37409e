"""Which rows of a table are kept for testing: some of each class, whole groups, or the last in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dagrow.data.splitting import split_rows
from dagrow.data.tables.look import Look
from dagrow.data.tables.targets import target_tensor
from dagrow.errors import DataError
from dagrow.objectives import Loss


def partition(
    seen: Look, outputs: Sequence[Sequence[int]], loss: Loss, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the file to learn from, and to test with.

    Args:
        seen: the table.
        outputs: numbers of the target columns of each.
        loss: tells labels from measured values.
        share: for the test set.
        seed: the same seed draws the same rows.

    Raises:
        DataError: if there are too few rows or groups.
    """
    if seen.times is not None:
        return _last(seen.usable, seen.times[seen.usable], share)
    if seen.groups is not None:
        return _whole_groups(seen.usable, seen.groups[seen.usable], share, seed)
    targets = tuple(target_tensor([seen.targets[i] for i in part], seen.usable) for part in outputs)
    train, test = split_rows(targets, loss, share, seed)
    return seen.usable[train.numpy()], seen.usable[test.numpy()]


def _last(rows: np.ndarray, times: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The latest rows for testing; those of one moment stay together."""
    order = np.argsort(times, kind="stable")
    border = np.sort(times)[min(max(round(len(rows) * (1 - share)), 1), len(rows) - 1)]
    before = times[order] < border
    if not before.any():
        raise DataError("all rows to split by time have the same time")
    return rows[order[before]], rows[order[~before]]


def _whole_groups(rows: np.ndarray, groups: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Groups in random order, until the test set has its share of the rows."""
    if (groups < 0).any():
        raise DataError(f"row {int(rows[(groups < 0).argmax()]) + 1}: the cell of its group is empty")
    kinds, counts = np.unique(groups, return_counts=True)
    if len(kinds) < 2:
        raise DataError("there is 1 group; a split takes 2, one to learn from and one to test with")
    order = torch.randperm(len(kinds), generator=torch.Generator().manual_seed(seed)).numpy()
    before = np.cumsum(counts[order]) - counts[order]
    chosen = order[: max(1, min(int((before < share * len(rows)).sum()), len(kinds) - 1))]
    test = np.isin(groups, kinds[chosen])
    shuffled = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).numpy()
    return rows[shuffled[~test[shuffled]]], rows[shuffled[test[shuffled]]]
