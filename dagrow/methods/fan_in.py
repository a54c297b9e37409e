"""Coordinates for the search of fan-ins: whitened features, with the constant as one direction of its own.

Fan-ins are columns ``W`` of weights on ``E = B R^T``, where ``R^T R = (S + rho mean(diag S) I)^-1``: unit vectors
give pre-activations of about unit root mean square, whatever the units and correlations of the features, and fan-ins
are ``alpha = R^T W``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.methods.metric import Metric
from dagrow.methods.moments import SiteMoments
from dagrow.methods.samples import SiteSamples


class FanIn:
    """Whitened features of the samples.

    Attributes:
        E: ``[n, P, rank]``, of unit mean square per column, on average.
        constant: ``[rank]``, weights of the pre-activation that is 1 everywhere; None without a bias.
    """

    def __init__(self, samples: SiteSamples, moments: SiteMoments, shrinkage: float) -> None:
        B = samples.B.detach()
        metric = Metric(moments.S, shrinkage, moments.precision)
        root = metric.unwhiten(torch.eye(metric.rank, dtype=torch.float64, device=B.device))
        E = B @ root.to(B)
        size = float(E.double().square().mean().sqrt()) if E.numel() else 0.0
        scale = 1 / size if size > 0 else 1.0
        self.E = E * scale
        self.root = root * scale
        self.biased = bool(B.shape[2]) and bool((B[..., -1] == 1).all())
        self.constant = self._constant(metric, moments) if self.biased else None
        # In the unit of sums over samples and positions, as G is.
        self.shrinkage = shrinkage * float(B.double().square().mean()) * B.shape[0] * B.shape[1] if shrinkage else 0.0

    def _constant(self, metric: Metric, moments: SiteMoments) -> Tensor | None:
        """The whitened features' own mix that is constant: their cross moment with the constant."""
        c = metric.whiten(moments.S[:, -1:]).squeeze(1)
        level = float((self.E.double() @ c).mean()) if self.E.numel() else 0.0
        return (c / level).to(self.E) if level > 0 else None

    @property
    def rank(self) -> int:
        """How many coordinates."""
        return self.E.shape[2]

    def alpha(self, W: Tensor) -> Tensor:
        """``[F, K]`` fan-ins of weights ``[rank, K]``, float64."""
        return self.root @ W.double()

    def penalty(self, W: Tensor) -> Tensor | None:
        """``rho mean(diag S) ||alpha||^2`` in the unit of sums over samples; the bias is free."""
        if not self.shrinkage:
            return None
        alpha = self.root.to(W) @ W
        return self.shrinkage * (alpha[:-1] if self.biased else alpha).square().sum(0)

    def directions(self, U: Tensor) -> Tensor:
        """Weights ``[rank, K]`` without the constant, of unit length."""
        if self.constant is not None:
            c = self.constant / self.constant.norm()
            U = U - torch.outer(c, c @ U)
        return U / U.norm(dim=0).clamp(min=torch.finfo(U.dtype).tiny)
