"""Which samples are kept for testing where a source has no split of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.errors import DataError
from dagrow.objectives import Loss


def split_rows(targets: tuple[Tensor, ...], loss: Loss, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Draws the rows of the training and of the test set, both in random order.

    With class labels each class is split by itself, and has at least one sample on either side.

    Args:
        targets: prepared for the loss, one per output; the first that holds labels decides.
        loss: tells labels from measured values.
        share: of the samples, for the test set.
        seed: the same seed draws the same rows.

    Raises:
        DataError: if a class, or the whole, has too few samples.
    """
    order = torch.randperm(len(targets[0]), generator=torch.Generator().manual_seed(seed))
    labels = labels_of(targets, loss)
    groups = torch.zeros_like(order) if labels is None else labels
    drawn = groups[order]
    test = torch.zeros(len(order), dtype=torch.bool)
    for group in sorted(set(drawn.tolist())):
        members = (drawn == group).nonzero().squeeze(1)
        if len(members) < 2:
            whole = "the data" if labels is None else f"class {group}"
            raise DataError(f"{whole} has 1 sample; a split takes 2, one to learn from and one to test with")
        test[members[: min(max(round(len(members) * share), 1), len(members) - 1)]] = True
    return order[~test], order[test]


def labels_of(targets: tuple[Tensor, ...], loss: Loss) -> Tensor | None:
    """One whole number per sample, of the first target that holds such; None where none does."""
    return next((found for target in targets if (found := _labels(target, loss)) is not None), None)


def _labels(target: Tensor, loss: Loss) -> Tensor | None:
    """One whole number per sample, or None where the target is no class label."""
    if loss.correct is None:
        return None
    column = target.squeeze(1) if target.dim() == 2 and target.shape[1] == 1 else target
    if column.dim() != 1 or not torch.equal(column, column.round()):
        return None
    return column.long()
