"""Products of features with what they should explain, under several weightings of the samples."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.flop_counter import spend


def weighted_dots(left: Tensor, right: Tensor, weights: Tensor) -> Tensor:
    """The same with several weightings of the samples at once: ``weights [W, n] -> [W, F, M]``."""
    if left.shape[1] == 1:
        sums = [_weighted_dot(left.squeeze(1), right.squeeze(1), w) for w in weights]
        return torch.stack(sums) if len(sums) > 1 else sums[0].unsqueeze(0)
    each = torch.bmm(left.transpose(1, 2), right)
    spend((left.shape[1] + len(weights)) * each.numel())
    return torch.einsum("wn,nfm->wfm", weights, each)


def _weighted_dot(left: Tensor, right: Tensor, weights: Tensor) -> Tensor:
    """``[n, F], [n, M], [n] -> [F, M]``; samples of weight 0 cost nothing."""
    used = weights.nonzero().squeeze(1)
    if used.numel() < weights.numel():
        left, right, weights = left[used], right[used], weights[used]
    spend(left.numel() * right.shape[1])
    return left.T @ (right if bool((weights == 1).all()) else right * weights.unsqueeze(1))
