"""What a singular value hardly ever exceeds without signal. A new way is a class here and a line in `NOISE_LEVELS`.

Each starts from draws of the statistic N with a random sign on each sample's v_proj: what N would be with nothing to
find, with all correlations between positions and features kept (TINY, appendix D.3). W is such an N on whitened
features, ``S^(-1/2) N``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from dagrow.methods.metric import Metric
from dagrow.registry import Registry

DEVIATIONS = 2.0
TRACY_WIDOM = 0.9793
"""The 95th percentile of the Tracy-Widom law for real matrices."""
_STEPS = 60
"""Halvings of an interval: more than a float has digits."""


class NoiseLevel(ABC):
    """What a singular value hardly ever exceeds without signal. Each subclass is final."""

    draws: ClassVar[int] = 8
    """How many draws it is made of."""

    @abstractmethod
    def level(self, metric: Metric, draws: Tensor) -> float:
        """The level.

        Args:
            metric: of the features.
            draws: ``[draws, F, M]``, see `SiteMoments.N_noise`.
        """


def _largest(metric: Metric, draws: Tensor) -> Tensor:
    """``[draws]``, the largest singular value of each."""
    return torch.stack([torch.linalg.matrix_norm(metric.whiten(N), 2) for N in draws])


class MeanDeviation(NoiseLevel):
    """The mean over the draws plus two standard deviations."""

    def level(self, metric: Metric, draws: Tensor) -> float:
        """The level."""
        found = _largest(metric, draws)
        return float(found.mean() + (DEVIATIONS * found.std() if len(found) > 1 else 0.0))


class Quantile(NoiseLevel):
    """The largest of nineteen draws (a Monte Carlo test).

    A statistic that is one more such draw exceeds it in one of twenty looks, whatever its law.
    """

    draws: ClassVar[int] = 19

    def level(self, metric: Metric, draws: Tensor) -> float:
        """The level."""
        return float(_largest(metric, draws).max())


class MarchenkoPastur(NoiseLevel):
    """The edge of the Marchenko-Pastur law, and its 95th percentile by the Tracy-Widom law.

    Without signal the rows of W are independent, of one covariance C; the draws only say what that is:
    ``C = E[W^T W] / rank``, shrunk, for they are few. Convolutions weight positions in S, so that rows
    are not quite independent: there it is an approximation.
    """

    def level(self, metric: Metric, draws: Tensor) -> float:
        """The level."""
        rank = metric.rank
        if rank == 0:
            return 0.0
        W = torch.cat([metric.whiten(N) for N in draws])
        eigenvalues = torch.linalg.eigvalsh(W.T @ W / len(W))
        return math.sqrt(largest_eigenvalue(shrunk(eigenvalues, len(W)), rank, TRACY_WIDOM))


def shrunk(eigenvalues: Tensor, rows: int) -> Tensor:
    """Eigenvalues of a sample covariance, drawn together by as much as so few rows have driven them apart.

    The oracle-approximating shrinkage of Chen, Wiesel, Eldar and Hero (2010), their equation 23.

    Args:
        eigenvalues: ``[M]``.
        rows: that the covariance is the mean of.
    """
    M, total, squares = len(eigenvalues), eigenvalues.sum(), eigenvalues.square().sum()
    apart = (rows + 1 - 2 / M) * (squares - total**2 / M)
    part = ((1 - 2 / M) * squares + total**2) / apart if apart > 0 else torch.ones_like(total)
    part = part.clamp(max=1.0)
    return (1 - part) * eigenvalues + part * total / M


def largest_eigenvalue(eigenvalues: Tensor, rows: int, deviation: float) -> float:
    """The largest eigenvalue of ``G^T G``, G with independent Gaussian rows (El Karoui 2007, Theorem 1, real case).

    With t the eigenvalues of the rows' covariance and ``x_j = c t_j / (1 - c t_j)``, c in ``(0, 1 / max t)`` solves
    ``sum x_j^2 = rows``; the edge is ``(rows + sum x_j) / c`` and the scale of what is beyond it
    ``(rows + sum x_j^3)^(1/3) / c``. For equal t the edge is ``t (sqrt(rows) + sqrt(columns))^2``. Where one t is far
    larger than all others, the true quantiles are up to a fifth lower.

    Args:
        eigenvalues: ``[M]`` of the covariance of a row.
        rows: of G.
        deviation: from the edge, in units of the scale: a quantile of the Tracy-Widom law.
    """
    top = float(eigenvalues.max()) if eigenvalues.numel() else 0.0
    if not top > 0:
        return 0.0
    t = eigenvalues.double().clamp(min=0) / top
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        c = (low + high) / 2
        over = float((c * t / (1 - c * t)).square().sum()) > rows
        low, high = (low, c) if over else (c, high)
    # Below the solution: nothing is divided by 0.
    c = low
    x = c * t / (1 - c * t)
    edge = (rows + float(x.sum())) / c
    scale = (rows + float((x**3).sum())) ** (1 / 3) / c
    return float(max(0.0, edge + deviation * scale) * top)


NOISE_LEVELS: Registry[NoiseLevel] = Registry(
    "noise level",
    {"mean_deviation": MeanDeviation(), "quantile": Quantile(), "marchenko_pastur": MarchenkoPastur()},
)
