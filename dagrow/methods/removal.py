"""What non-linear neurons can really remove of the bottleneck, on samples.

A neuron with outputs ``X`` (all fan_out columns that a child reads of it) removes, together with an update of the
child's existing weights, the part of ``v_proj`` in the span of ``X~ = X - existing existing^+ X``:
``gain = tr N^T G^-1 N`` with ``N = E[X~^T v_proj]``, ``G = E[X~^T X~]``. omega and the update follow by least
squares, so only the fan-in is left to search (variable projection).

`Removal` knows one or several right-hand sides ("draws" d: the desired updates themselves, or with random signs).
Rows of all matrices are pairs of sample and position; v is kept divided by the root of the number of samples, so
that sums over rows are ``E``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.methods.metric import Metric
from dagrow.methods.samples import ChildSamples, SiteSamples

RIDGE = 1e-4
"""Of a neuron's own mean square, added to G in the search: what X~ must exceed to count. A neuron that is dead, or
linear on all samples, leaves only rounding in X~ and gains 0 instead of 0/0."""


@dataclass
class _Child:
    """The projection of one child: O ``[rows, rank]`` orthonormal, ``O = existing T``, v ``[draws, rows, M]``."""

    samples: ChildSamples
    O: Tensor
    T: Tensor
    v: Tensor

    def columns(self, outputs: Tensor) -> Tensor:
        """Outputs ``[n, P', K]`` to columns ``[rows, K, fan_out]``."""
        return self.samples.read(outputs).flatten(0, 1)

    def left(self, X: Tensor) -> Tensor:
        """``X~``: what is left of columns ``[rows, ...]`` after least squares on what O spans."""
        flat = X.flatten(1)
        for _ in range(2):  # the second time takes off what rounding left of a long X
            flat = flat - self.O @ (self.O.T @ flat)
        return flat.view_as(X)


class Removal:
    """The children of a site with all that is there already projected out.

    Args:
        samples: of the site.
        signs: ``[draws, n]``, one sign per sample and draw; all ones for the desired updates as they are.

    Attributes:
        size: root of the sum of the children's ``E||v||^2``. v is kept in this unit, and gains are in its square.
    """

    def __init__(self, samples: SiteSamples, signs: Tensor) -> None:
        self.activate = samples.activate
        self.draws = len(signs)
        self.children = [_projected(child, signs) for child in samples.children]
        self.size = sum(float(child.v[0].double().square().sum()) for child in self.children) ** 0.5
        if self.size > 0:
            for child in self.children:
                child.v = child.v / self.size

    def draw(self, index: int) -> Removal:
        """The same with one right-hand side; picks in it do not show in this one."""
        one = object.__new__(Removal)
        one.activate, one.draws, one.size = self.activate, 1, self.size
        one.children = [_Child(c.samples, c.O, c.T, c.v[index : index + 1]) for c in self.children]
        return one

    def gains(self, Z: Tensor, penalty: Tensor | None = None) -> Tensor:
        """What each neuron alone removes, with `RIDGE`; differentiable.

        Args:
            Z: ``[n, P, draws * k]`` pre-activations, those for the first draw first.
            penalty: ``[draws * k]``, added to G: the shrinkage of the fan-in's metric.

        Returns:
            ``[draws, k]``.
        """
        outputs = self.activate(Z)
        total = Z.new_zeros(self.draws, Z.shape[2] // self.draws)
        for child in self.children:
            total = total + _gain(child, child.columns(outputs), self.draws, penalty)
        return total

    def pick(self, Z: Tensor) -> tuple[float, list[Tensor]]:
        """Takes a neuron's effect off v and adds its columns to what is projected out; one draw.

        Args:
            Z: ``[n, P, 1]`` its pre-activations.

        Returns:
            The drop of ``E||v||^2`` (without a ridge) and the neuron's columns ``[rows, fan_out]`` per child.
        """
        outputs, drop, columns = self.activate(Z), 0.0, []
        for child in self.children:
            X = child.columns(outputs)[:, 0]
            new = _orthonormal(child.left(X), X)
            effect = new.T @ child.v[0]
            drop += float(effect.double().square().sum())
            child.v = child.v - (new @ effect).unsqueeze(0)
            child.O = torch.cat([child.O, new], 1)
            columns.append(X)
        return drop, columns


def _projected(child: ChildSamples, signs: Tensor) -> _Child:
    """The basis of what a child reads already, and v outside of it for each draw of signs."""
    n, Q, M = child.v_proj.shape
    existing = child.existing.detach().flatten(0, 1)
    O, T = orthonormal(existing)
    v = (signs.to(child.v_proj).unsqueeze(2).unsqueeze(3) * (child.v_proj.detach() / n**0.5)).view(-1, n * Q, M)
    left = v - O @ (O.T @ v)
    # v_proj with random signs is no longer outside of what exists, and loses length that v_proj has lost before.
    length = left.double().square().sum((1, 2)).sqrt()
    # All of v explained: what is left is rounding, and no signal.
    rounding = 8 * torch.finfo(v.dtype).eps * max(1, O.shape[1]) ** 0.5 * v[0].double().square().sum().sqrt()
    factor = torch.where(length > rounding, (length[:1] / length.clamp(min=1e-300)), 0.0)
    return _Child(child, O, T, left * factor.to(left).view(-1, 1, 1))


def orthonormal(features: Tensor) -> tuple[Tensor, Tensor]:
    """``(O, T)`` with ``O = features T`` orthonormal, of the rank that `Metric` sees in the features."""
    size = features.abs().amax(0) if len(features) else features.new_ones(features.shape[1])
    scale = torch.where(size > 0, 1 / size, 0.0).double()
    O, T = features * scale.to(features), torch.diag(scale)
    for _ in range(2):  # once more where the features were nearly dependent: Cholesky QR, twice
        metric = Metric((O.T @ O).double(), precision=features.dtype)
        root = metric.unwhiten(torch.eye(metric.rank, dtype=torch.float64, device=O.device))
        O, T = O @ root.to(O), T @ root
    return O, T


def _orthonormal(left: Tensor, X: Tensor) -> Tensor:
    """A basis of one neuron's X~ ``[rows, fan_out]``, without what is rounding beside its X."""
    length = left.square().sum(0)
    real = length > 1e2 * torch.finfo(X.dtype).eps ** 2 * len(X) * X.square().sum(0)
    return orthonormal(left * real)[0]


def _gain(child: _Child, X: Tensor, draws: int, penalty: Tensor | None) -> Tensor:
    """``tr N^T (G + ridge)^-1 N`` of every neuron, ``[draws, k]``."""
    rows, K, fan_out = X.shape
    flat = X.reshape(rows, K * fan_out)
    A = child.O.T @ flat
    N = torch.bmm(child.v.transpose(1, 2), flat.view(rows, draws, -1).permute(1, 0, 2))  # v is outside of O: as with X~
    N = N.view(draws, -1, K // draws, fan_out)
    if fan_out == 1:
        whole = flat.square().sum(0)
        G = (whole - A.square().sum(0)).clamp(min=0) + RIDGE * whole
        if penalty is not None:
            G = G + penalty
        squares = N.square().sum((1, 3)).view(K)
        return torch.where(G > 0, squares / torch.where(G > 0, G, 1.0), 0.0).view(draws, -1)
    per = flat.view(rows, K, fan_out).permute(1, 2, 0)
    A = A.view(-1, K, fan_out).permute(1, 2, 0)
    G = per @ per.transpose(1, 2)
    ridge = RIDGE * G.diagonal(dim1=1, dim2=2).mean(1)
    G = G - A @ A.transpose(1, 2)
    if penalty is not None:
        ridge = ridge + penalty
    alive = ridge > 0
    ridge = torch.where(alive, ridge, 1.0)
    G = G + ridge.view(-1, 1, 1) * torch.eye(fan_out, dtype=G.dtype, device=G.device)
    L, _ = torch.linalg.cholesky_ex(G)
    N = N.permute(0, 2, 3, 1).reshape(K, fan_out, -1)
    squares = torch.linalg.solve_triangular(L, N, upper=False).square().sum((1, 2))
    return torch.where(alive, squares, 0.0).view(draws, -1)
