"""Coordinates for the search of fan-ins: whitened features, with the constant as one direction of its own.

Fan-ins are columns ``W`` of weights on ``E = B R^T``, where ``R^T R = (S + ridge)^-1``, see `Metric`: unit vectors
without a constant part give pre-activations of about unit root mean square, whatever the units and correlations of the
features; the fan-ins are ``alpha = R^T W``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.flop_counter import product
from dagrow.methods.metric import CONSTANT, Metric, mean_squares, unit_lengths
from dagrow.methods.moments import SiteMoments
from dagrow.methods.samples import SiteSamples


class FanIn:
    """Whitened features of the samples.

    Args:
        samples: of the site.
        moments: of the site. Only units are read off them: what they are sums of, and in which order, must not reach
            the search.
        shrinkage: rho.

    Attributes:
        samples: of the site.
        E: ``[n, P, rank]``, of unit mean square but for its constant part.
        constant: ``[rank]``, weights of the pre-activation that is 1 everywhere; None without a bias.
    """

    def __init__(self, samples: SiteSamples, moments: SiteMoments, shrinkage: float) -> None:
        B = samples.B.detach()
        rows = B.double().flatten(0, 1)
        S = rows.T @ rows
        metric = Metric(S, shrinkage, B.dtype, moments.feature_units)
        root = metric.unwhiten(torch.eye(metric.rank, dtype=torch.float64, device=B.device))
        E = product(B, root.to(B))
        self.samples = samples
        biased = bool((B[..., -1] == 1).all())
        constant = _constant(metric, S, E) if biased else None
        size = _varying(E, constant) ** 0.5 if E.numel() else 0.0
        unit = 1 / size if size > 0 else 0.0
        self.E, self._root = E * unit, root * unit
        self.constant = None if constant is None or unit == 0 else constant / unit
        # The ridge in the unit of sums over these samples and positions, as the root that fan-ins are multiplied by.
        squares = mean_squares(S.diagonal(), moments.feature_units)
        self._squares, self._units = squares, moments.feature_units
        ridge = torch.where(moments.feature_units == CONSTANT, 0.0, shrinkage * squares)
        self._penalised = (ridge.sqrt().unsqueeze(1) * self._root).to(B) if shrinkage else None

    @property
    def rank(self) -> int:
        """How many coordinates."""
        return self.E.shape[2]

    @property
    def lengths(self) -> Tensor:
        """``[F]``, as `SiteMoments.lengths`, of these samples."""
        return unit_lengths(self._squares / len(self.E), self._units)

    def alpha(self, W: Tensor) -> Tensor:
        """Fan-ins ``[F, K]`` of weights ``[rank, K]``; float64."""
        return self._root @ W.double()

    def penalty(self, W: Tensor) -> Tensor | None:
        """``alpha^T ridge alpha`` of each neuron, as the shrunk metric has it; the bias is free."""
        return None if self._penalised is None else (self._penalised @ W).square().sum(0)

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


def _constant(metric: Metric, S: Tensor, E: Tensor) -> Tensor | None:
    """The mix of the whitened features that is 1: their cross moment with the constant, which has no ridge."""
    c = metric.whiten(S[:, -1:]).squeeze(1).to(E)
    level = (E @ c).mean()
    return c / level if float(level) > 0 else None


def _varying(E: Tensor, constant: Tensor | None) -> float:
    """Mean square of the whitened features in the directions that have no constant part; of all if there are none."""
    whole = float(E.square().sum(2).mean())
    if constant is None or E.shape[2] < 2:
        return whole / E.shape[2]
    alone = float((E @ (constant / constant.norm())).square().mean())
    return max(0.0, whole - alone) / (E.shape[2] - 1)
