"""The metric S of the inputs: shrinkage, whitening and solves that survive a singular S.

Shrinkage adds a ridge to the diagonal of S, for each feature relative to the mean square of the features that share its
unit: what x times a number changes in the one it changes in the other, and nothing is decided by it. The constant has
no ridge: it says where the features lie, not how far they vary.

Policy for dead, duplicated or too many features (tested in tests/reference/test_metric.py):

* S is first scaled to unit diagonal, so that no feature is small only because of its unit;
  features that are always 0 are left out and get weight 0.
* A Cholesky factor is used where all its pivots are above the rounding noise of the products that
  made S; otherwise an eigendecomposition, with directions below that noise left out (a pseudo-inverse
  in the scaled coordinates).
* The noise is ``4 sqrt(F) eps`` of the dtype in which the products were made: relative, as is the rest.

Symbols: S ``[F, F]`` second moment of the features, N ``[F, M]`` cross moment, D the diagonal of S.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dagrow.errors import NumbersError

CONSTANT = -1
"""In place of a unit: the constant feature."""


def mean_squares(squares: Tensor, units: Tensor) -> Tensor:
    """Of each feature, the mean square of all features that share its unit; of the constant, its own.

    Args:
        squares: ``[F]``, of each feature.
        units: ``[F]`` integers, equal for features that share a unit, `CONSTANT` for the constant.
    """
    shared = units != CONSTANT
    index, count = units[shared], int(units.max()) + 1 if len(units) else 0
    total, number = (
        squares.new_zeros(max(0, count)).index_add(0, index, part)
        for part in (squares[shared], torch.ones_like(squares[shared]))
    )
    means = squares.clone()
    means[shared] = (total / number.clamp(min=1))[index]
    return means


def unit_lengths(squares: Tensor, units: Tensor) -> Tensor:
    """The root mean square of each feature's unit, relative to the constant's where there is one.

    1 for the constant and where all features are 0. Weights times this are pure numbers.

    Args:
        squares: ``[F]``, of each feature.
        units: ``[F]``, see `mean_squares`.
    """
    means = mean_squares(squares.double(), units).clamp(min=0)
    one = means[units == CONSTANT][:1] if bool((units == CONSTANT).any()) else torch.ones_like(means[:1])
    return torch.where(means > 0, (means / one).sqrt(), 1.0)


class Metric:
    """A factor of ``S + ridge``, the ridge diagonal: ``rho`` times the mean square of a feature's unit.

    Everything is in float64.

    Args:
        S: ``[F, F]`` symmetric, positive semi-definite up to rounding.
        shrinkage: rho >= 0; 0 is the papers' method.
        precision: dtype in which the products that S is a sum of were made.
        units: of the features, see `mean_squares`; if left out they share one, and none is the constant.
    """

    def __init__(
        self,
        S: Tensor,
        shrinkage: float = 0.0,
        precision: torch.dtype = torch.float64,
        units: Tensor | None = None,
    ) -> None:
        S = S.double()
        check_finite(S)
        size = S.shape[0]
        if shrinkage > 0:
            units = S.new_zeros(size, dtype=torch.long) if units is None else units
            ridge = shrinkage * mean_squares(S.diagonal(), units)
            S = S + torch.diag(torch.where(units == CONSTANT, 0.0, ridge))
        diagonal = S.diagonal()
        alive = diagonal > diagonal.amax(0).clamp(min=0) * torch.finfo(torch.float64).tiny if size else diagonal > 0
        self.alive = alive.nonzero().squeeze(1)
        self.size = size
        self.scale = diagonal[self.alive].rsqrt()
        if self.alive.numel() < size:
            S = S[self.alive][:, self.alive]
        C = (S * self.scale.unsqueeze(1)).mul_(self.scale)
        count = max(1, C.shape[0])
        noise = max(4 * count**0.5 * torch.finfo(precision).eps, 4 * count * torch.finfo(torch.float64).eps)
        self._cholesky, self._root = _factor(C, noise)

    @property
    def rank(self) -> int:
        """Directions that carry signal."""
        return self.alive.numel() if self._root is None else self._root.shape[1]

    def whiten(self, N: Tensor) -> Tensor:
        """``R N`` with ``R^T R = S^+``: the cross moment of the whitened features, ``[rank, M]``."""
        check_finite(N)
        scaled = N.double()[self.alive] * self.scale.unsqueeze(1)
        if self._root is not None:
            return self._root.T @ scaled
        whitened: Tensor = torch.linalg.solve_triangular(self._cholesky, scaled, upper=False)
        return whitened

    def unwhiten(self, U: Tensor) -> Tensor:
        """``R^T U``: weights on the features from weights on the whitened ones, ``[F, K]``."""
        if self._root is not None:
            inner = self._root @ U
        else:
            inner = torch.linalg.solve_triangular(self._cholesky.T, U, upper=True)
        full = U.new_zeros(self.size, U.shape[1])
        full[self.alive] = inner * self.scale.unsqueeze(1)
        return full

    def solve(self, N: Tensor) -> Tensor:
        """``S^+ N``, ``[F, M]``."""
        return self.unwhiten(self.whiten(N))


def check_finite(moment: Tensor) -> None:
    """Refuses a moment that is no number.

    Raises:
        NumbersError: if an entry is infinite or NaN.
    """
    # One infinite or NaN entry makes the sum so; moments are far from the end of float64 otherwise.
    if not math.isfinite(float(moment.sum(dtype=torch.float64))):
        raise NumbersError("its statistics are infinite or NaN: values or gradients are too large to be squared")


def _factor(C: Tensor, noise: float) -> tuple[Tensor, Tensor | None]:
    """The Cholesky factor of a unit-diagonal C, or a root ``Q L^(-1/2)`` of its pseudo-inverse."""
    L, failed = torch.linalg.cholesky_ex(C)
    if int(failed) == 0 and (C.shape[0] == 0 or float(L.diagonal().min()) ** 2 > noise):
        return L, None
    try:
        values, Q = torch.linalg.eigh(C)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise NumbersError("the metric of its inputs has no eigenvalues that could be found") from error
    kept = values > noise
    return L, Q[:, kept] * values[kept].rsqrt()
