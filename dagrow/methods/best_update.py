"""The best update of existing weights (thesis Prop. 3.2.2) and the expressivity bottleneck that it leaves."""

from __future__ import annotations

from torch import Tensor

from dagrow.methods.metric import Metric


def best_update(metric: Metric, N: Tensor) -> Tensor:
    """``dW* = (S^+ N)^T``, the least-squares fit of the desired update by the features.

    Args:
        metric: of ``S = E[B^T B]``, over all edges into the node at once.
        N: ``[F, M]``, ``E[B^T v_goal]``.

    Returns:
        ``[M, F]``.
    """
    return metric.solve(N).T


def explained(metric: Metric, N: Tensor) -> float:
    """``E||dW* B||^2 = ||S^(-1/2) N||^2``: how much of ``E||v_goal||^2`` the best update takes away."""
    return float(metric.whiten(N).square().sum())
