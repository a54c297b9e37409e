"""The typical mis-predicted instance: the sample that stands for the kind of mistake that costs most.

After J. Kang, "Explainable Network Growth by Folding on Typical Mis-predictions" (2025), algorithm "Find Typical
Mis-Predicted Instance": k-means on the inputs, each sample weighted by its loss; the cluster with the highest mean
loss; the instance nearest to its centre. The slide takes any sample of the cluster; here only those that are
mis-predicted are taken, as the definition has it: a right one has no boundary to fold.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.contrib.folding.relu_chain import LabelledPredictions
from dagrow.ties import first_best

CLUSTERS = 8
"""Kinds of mistakes that are told apart, at most; scikit-learn's own number."""


def typical(samples: LabelledPredictions, eligible: Tensor, seed: int) -> int | None:
    """Which sample is the typical mis-predicted one; None if none may be chosen.

    Args:
        samples: of which one is chosen.
        eligible: ``[n]``, which may be chosen if they are mis-predicted.
        seed: of k-means.
    """
    from sklearn.cluster import KMeans

    wrong = (eligible & (samples.predicted != samples.target)).cpu()
    if not bool(wrong.any()):
        return None
    x, loss = samples.x.cpu(), samples.loss.double().cpu()
    # No weight is 0: k-means would count the sample out, and find fewer different ones than there are.
    weights = loss.clamp(min=max(float(loss.max()) * 1e-9, 1e-300))
    count = min(CLUSTERS, len(torch.unique(x, dim=0)))
    found = KMeans(count, n_init=1, random_state=seed % 2**32).fit(x.numpy(), sample_weight=weights.numpy())
    labels = torch.from_numpy(found.labels_).long()
    centres = torch.from_numpy(found.cluster_centers_).to(x.dtype)
    sums, sizes, mistakes = (
        torch.zeros(count, dtype=torch.float64).index_add(0, labels, part.double())
        for part in (loss, torch.ones_like(loss), wrong)
    )
    worst = first_best(torch.where(mistakes > 0, sums / sizes, -torch.inf))
    distance = (x - centres[worst]).square().sum(1)
    return first_best(-torch.where(wrong & (labels == worst), distance, torch.inf))
