"""Coordinates for the search of fan-ins: whitened features, with the constant as one direction of its own.

Fan-ins are columns ``W`` of weights on ``E = B R^T``, where ``R^T R = (S + rho mean(diag S) I)^-1``: unit vectors
give pre-activations of about unit root mean square, whatever the units and correlations of the features; the
fan-ins are ``alpha = R^T W``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.methods.metric import Metric
from dagrow.methods.moments import SiteMoments
from dagrow.methods.samples import SiteSamples
from dagrow.work import product


class FanIn:
    """Whitened features of the samples.

    Args:
        samples: of the site.
        moments: of the site; S and N_proj are of more samples than these.
        shrinkage: rho.

    Attributes:
        samples: of the site.
        E: ``[n, P, rank]``, of unit mean square.
        constant: ``[rank]``, weights of the pre-activation that is 1 everywhere; None without a bias.
        linear: ``[rank, M]``, ``E[E^T v_proj]`` up to a factor.
        linear_noise: the same with a random sign per sample.
    """

    def __init__(self, samples: SiteSamples, moments: SiteMoments, shrinkage: float) -> None:
        B = samples.B.detach()
        metric = Metric(moments.S, shrinkage, moments.precision)
        root = metric.unwhiten(torch.eye(metric.rank, dtype=torch.float64, device=B.device))
        E = product(B, root.to(B))
        size = float(E.square().mean().sqrt()) if E.numel() else 0.0
        unit = 1 / size if size > 0 else 0.0
        self.samples = samples
        self.E, self._root = E * unit, root * unit
        self._biased = bool((B[..., -1] == 1).all())
        self.constant = self._constant(metric, moments) if self._biased else None
        # rho mean(diag S), in the unit of sums over these samples and positions.
        self._shrinkage = shrinkage * float(B.double().square().sum()) / B.shape[2]
        self._penalised = (self._root[:-1] if self._biased else self._root).to(B)
        self.linear, self.linear_noise = (metric.whiten(N).to(E) for N in (moments.N_proj, moments.N_noise))

    def _constant(self, metric: Metric, moments: SiteMoments) -> Tensor | None:
        """The mix of the whitened features that is constant: their cross moment with the constant."""
        c = metric.whiten(moments.S[:, -1:]).squeeze(1).to(self.E)
        level = (self.E @ c).mean()
        return c / level if float(level) > 0 else None

    @property
    def rank(self) -> int:
        """How many coordinates."""
        return self.E.shape[2]

    def alpha(self, W: Tensor) -> Tensor:
        """Fan-ins ``[F, K]`` of weights ``[rank, K]``; float64."""
        return self._root @ W.double()

    def penalty(self, W: Tensor) -> Tensor | None:
        """``rho mean(diag S) ||alpha||^2`` of each neuron, as the shrunk metric has it; the bias is free."""
        return self._shrinkage * (self._penalised @ W).square().sum(0) if self._shrinkage else None

    def directions(self, W: Tensor) -> Tensor:
        """Weights ``[rank, ...]`` without their constant part, of unit length."""
        if self.constant is not None:
            c = self.constant / self.constant.norm()
            W = W - torch.tensordot(c, torch.tensordot(c, W, 1), 0)
        length: Tensor = W.norm(dim=0)
        return W / length.clamp(min=torch.finfo(W.dtype).tiny)

    def shifted(self, W: Tensor, shift: Tensor) -> Tensor:
        """Weights ``[rank, ...]`` with a bias added, ``[...]``."""
        return W if self.constant is None else W + torch.tensordot(self.constant, shift, 0)
