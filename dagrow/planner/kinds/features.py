"""New neurons in matrix form as the weights of the edges around their node."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.mutation import NewFeatures
from dagrow.statistics import SiteLayout


def new_features(layout: SiteLayout, alpha: Tensor, omega: Tensor, dtype: torch.dtype) -> NewFeatures:
    """Matrices as weights.

    Args:
        layout: of the site.
        alpha: ``[F, K]``, the constant last where there is one.
        omega: ``[K, M]``.
        dtype: of the weights.
    """
    fan_in, fan_out = layout.split_fan_in(alpha, dtype), layout.split_fan_out(omega, dtype)
    return NewFeatures(layout.site.node, fan_in, fan_out, layout.site.passed)
