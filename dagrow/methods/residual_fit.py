"""What non-linear neurons can really remove of the bottleneck, on samples.

A neuron with columns ``X`` (its fan_out features, as a child reads them) removes, together with an update of the
child's existing weights, the part of ``v_proj`` in the span of ``X~ = X - existing existing^+ X``:
``gain = tr N^T G^-1 N`` with ``N = E[X~^T v_proj]``, ``G = E[X~^T X~]``. omega and the update follow by least
squares, so only the fan-in is left to search (variable projection).

Rows of all matrices here are pairs of sample and position. v is divided by the root of the number of samples, so
that sums over rows are ``E``; the length of X does not matter.

The update may have a ridge, as rare features need: one that is lit in a few of these samples takes any weight, which
ruins the others in which it is lit. A ridge is least squares too, with one more row per feature that is ``root(ridge)``
there and 0 in X and v: with such rows below, everything here holds as it is, and gains are those of the penalised fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dagrow.flop_counter import product, spend
from dagrow.methods.metric import Metric, mean_squares
from dagrow.methods.samples import ChildSamples, SiteSamples

RIDGE = 1e-3
"""Of a neuron's own mean square, added to G in the search: what X~ must exceed to count. A neuron that is dead, or
linear on all samples, has nothing but rounding in X~ and gains 0 instead of 0/0."""


@dataclass(frozen=True)
class ChildResidual:
    """One child: what is left to remove there, and what is there already.

    Attributes:
        samples: of the child.
        penalties: how many rows of the ridge are below those of the samples.
        basis: ``[rows, rank]`` orthonormal, of what the child reads already and of the neurons picked so far.
        mixing: ``[R, rank]`` with ``basis = existing mixing``, for the basis without picked neurons.
        v: ``[draws, rows, M]``, outside of the basis.
    """

    samples: ChildSamples
    penalties: int
    basis: Tensor
    mixing: Tensor
    v: Tensor

    def columns(self, outputs: Tensor) -> Tensor:
        """Outputs ``[n, P', K]`` to columns ``[rows, K, fan_out]``."""
        columns = self.samples.read(outputs).flatten(0, 1)
        return nn.functional.pad(columns, (0, 0, 0, 0, 0, self.penalties)) if self.penalties else columns

    def split(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """``(A, X~)`` with ``X = basis A + X~``, of columns ``[rows, K]``; X~ is 0 where it might be rounding of X."""
        spend(4 * self.basis.numel() * X.shape[1])
        A = self.basis.T @ X
        left = X - self.basis @ A
        again = self.basis.T @ left  # what rounding left of a long X
        left = left - self.basis @ again
        # Half of the digits must be sound: a large omega would make much of the others.
        real = left.square().sum(0) > torch.finfo(X.dtype).eps * X.square().sum(0)
        return A + again, left * real


@dataclass(frozen=True)
class ResidualFit:
    """A site's children with all that is there already projected out.

    Attributes:
        samples: of the site.
        targets: its children.
        size: root of the sum of their ``E||v_proj||^2``; v is kept in this unit, gains in its square.
    """

    samples: SiteSamples
    targets: tuple[ChildResidual, ...]
    size: float

    @staticmethod
    def of(samples: SiteSamples, noise: tuple[Tensor, Tensor] | None = None, ridge: float = 0.0) -> ResidualFit:
        """The removal for v_proj, the first draw, and for others made of it in which there is nothing to find.

        Args:
            samples: of the site.
            noise: ``(order, signs)``, both ``[draws, n]``: for each draw and sample, whose v_proj it gets, and with
                which sign.
            ridge: on the update of the existing weights, relative to the mean square of the features of one unit; the
                bias is free.
        """
        targets = [_target(child, noise, ridge) for child in samples.children]
        size = sum(float(target.v[0].double().square().sum()) for target in targets) ** 0.5
        unit = 1 / size if size > 0 else 0.0
        return ResidualFit(samples, tuple(replace(target, v=target.v * unit) for target in targets), size)

    @property
    def draws(self) -> int:
        """How many right-hand sides."""
        return len(self.targets[0].v)

    def draw(self, first: int, count: int = 1) -> ResidualFit:
        """The same with some of the right-hand sides."""
        return replace(self, targets=tuple(replace(t, v=t.v[first : first + count]) for t in self.targets))

    def gains(self, Z: Tensor, penalty: Tensor | None = None) -> Tensor:
        """What each neuron alone removes, with `RIDGE`; differentiable.

        Args:
            Z: ``[n, P, draws * k]`` pre-activations, those for the first draw first.
            penalty: ``[draws * k]``, added to the diagonal of G.

        Returns:
            ``[draws * k]``.
        """
        outputs = self.samples.activate(Z)
        read = [(target, target.samples.read(outputs).flatten(0, 1)) for target in self.targets]
        return sum((_gain(target, X, penalty) for target, X in read), Z.new_zeros(Z.shape[2]))

    def drops(self, Z: Tensor) -> list[float]:
        """The drop of ``E||v||^2`` by one neuron for each draw, exactly (no ridge).

        Args:
            Z: ``[n, P, draws]``, their pre-activations.
        """
        outputs, drops = self.samples.activate(Z), [0.0] * self.draws
        for target in self.targets:
            X = target.columns(outputs)
            _, left = target.split(X.flatten(1))
            for draw, own in enumerate(left.view_as(X).unbind(1)):
                drops[draw] += _effect(own, target.v[draw])[2]
        return drops

    def picked(self, Z: Tensor) -> tuple[float, ResidualFit]:
        """The drop of ``E||v||^2`` by one neuron, exactly (no ridge), and what is left then.

        Args:
            Z: ``[n, P, 1]``, its pre-activations; the removal is of one draw.
        """
        outputs, drop, after = self.samples.activate(Z), 0.0, []
        for target in self.targets:
            X = target.columns(outputs)[:, 0]
            _, left = target.split(X)
            new, effect, own = _effect(left, target.v[0])
            drop += own
            basis = torch.cat([target.basis, new], 1)
            after.append(replace(target, basis=basis, v=target.v - (new @ effect).unsqueeze(0)))
        return drop, replace(self, targets=tuple(after))

    def solve(self, Z: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Fan-out and accompanying updates by joint least squares over all neurons; for the first draw.

        Args:
            Z: ``[n, P, K]``, the neurons' pre-activations.

        Returns:
            omega ``[K, sum of fan_out M]`` and per child dW ``[M, R]``: ``X omega + existing dW^T`` is the projection
            of v_proj on both, less that on the existing features.
        """
        outputs, omegas, updates = self.samples.activate(Z), [], []
        for target in self.targets:
            A, left = target.split(target.columns(outputs).flatten(1))
            new, mixing = orthonormal(left)
            unit = self.size * len(Z) ** 0.5
            omega = mixing @ (new.T @ target.v[0]).double() * unit
            omegas.append(omega.view(Z.shape[2], -1))
            updates.append(-(target.mixing @ (A.double() @ omega)).T)
        return torch.cat(omegas, 1), tuple(updates)


def _effect(left: Tensor, v: Tensor) -> tuple[Tensor, Tensor, float]:
    """What one neuron has of v ``[rows, M]``: its new directions, v in these, and the square of that."""
    new, _ = orthonormal(left)
    effect = new.T @ v
    return new, effect, float(effect.double().square().sum())


def orthonormal(features: Tensor) -> tuple[Tensor, Tensor]:
    """``(basis, mixing)`` with ``basis = features mixing`` orthonormal, of the rank that `Metric` sees in them."""
    largest = features.abs().amax(0)
    scale = torch.where(largest > 0, 1 / largest, 0.0)
    basis, mixing = features * scale, torch.diag(scale.double())
    # Cholesky QR, twice: once is not orthonormal where the features nearly depend on each other.
    for again in (False, True):
        if not basis.shape[1]:
            break
        metric = Metric(product(basis.T, basis), precision=features.dtype)
        root = metric.unwhiten(torch.eye(metric.rank, dtype=torch.float64, device=basis.device))
        basis = product(basis, root.to(basis))
        if not again:
            # Of length 1, unless it is rounding of the products that the metric took for a direction.
            real = basis.square().sum(0) > 0.5
            if not bool(real.all()):
                basis, root = basis[:, real], root[:, real]
        mixing = mixing @ root
    return basis, mixing


def _penalties(existing: Tensor, ridge: float, units: Tensor | None) -> Tensor:
    """The rows of a ridge, ``[R - 1, R]``, for features ``[rows, R]`` with the constant last; none without a ridge."""
    own = existing.shape[1] - 1
    if ridge == 0 or own < 1:
        return existing[:0]
    units = torch.zeros(own, dtype=torch.long, device=existing.device) if units is None else units[:-1]
    size = (ridge * mean_squares(existing[:, :-1].double().square().sum(0), units)).sqrt().to(existing)
    return nn.functional.pad(torch.diag(size), (0, 1))


def _target(child: ChildSamples, noise: tuple[Tensor, Tensor] | None, ridge: float) -> ChildResidual:
    """The basis of what a child reads already, and v outside of it for each draw."""
    n, Q, M = child.v_proj.shape
    existing = child.existing.detach().flatten(0, 1)
    penalties = _penalties(existing, ridge, child.units)
    basis, mixing = orthonormal(torch.cat([existing, penalties]))
    v = child.v_proj.detach().unsqueeze(0) / n**0.5
    if noise is not None:
        order, signs = noise
        v = torch.cat([v, v[0, order.to(v.device)] * signs.to(v).view(-1, n, 1, 1)])
    v = nn.functional.pad(v.view(-1, n * Q, M), (0, 0, 0, len(penalties)))
    spend(4 * v.numel() * basis.shape[1])
    left = v - basis @ (basis.T @ v)
    left = left - basis @ (basis.T @ left)
    length = left.double().square().sum((1, 2)).sqrt()
    # Nothing but rounding is left where existing features explain all of these samples.
    rounding = 16 * torch.finfo(v.dtype).eps * max(1, basis.shape[1]) ** 0.5 * v[0].double().norm()
    # Noise is no longer outside of what exists, and loses a length there that v_proj had lost before.
    unit = torch.where((length > rounding) & (length[0] > rounding), length[0] / length, 0.0)
    return ChildResidual(child, len(penalties), basis, mixing, left * unit.to(left).view(-1, 1, 1))


def _gain(target: ChildResidual, X: Tensor, penalty: Tensor | None) -> Tensor:
    """``tr N^T (G + ridge)^-1 N`` of each neuron, ``[K]``, from its columns ``[rows, K, fan_out]``.

    The rows of the ridge may be left out, where columns are 0.
    """
    rows, K, fan_out = X.shape
    draws, flat = len(target.v), X.reshape(rows, -1)
    A = product(target.basis[:rows].T, flat)
    # v is outside of the basis, so its products with X are those with X~.
    N = product(target.v[:, :rows].transpose(1, 2), flat.view(rows, draws, -1).transpose(0, 1))
    if fan_out == 1:
        whole = flat.square().sum(0)
        G = (whole - A.square().sum(0)).clamp(min=0)
        ridge, alive = _ridge(whole, penalty)
        return torch.where(alive, N.square().sum(1).flatten() / (G + ridge), 0.0)
    N = N.view(draws, -1, K // draws, fan_out).transpose(1, 2).reshape(K, -1, fan_out)
    X, A = X.permute(1, 0, 2), A.view(-1, K, fan_out).transpose(0, 1)
    whole = product(X.transpose(1, 2), X)
    ridge, alive = _ridge(whole.diagonal(dim1=1, dim2=2).mean(1), penalty)
    G = whole - A.transpose(1, 2) @ A + ridge.view(-1, 1, 1) * torch.eye(fan_out, dtype=X.dtype, device=X.device)
    L, _ = torch.linalg.cholesky_ex(G)
    squares = torch.linalg.solve_triangular(L, N.transpose(1, 2), upper=False).square().sum((1, 2))
    return torch.where(alive, squares, 0.0)


def _ridge(whole: Tensor, penalty: Tensor | None) -> tuple[Tensor, Tensor]:
    """The ridge of each neuron (1 for dead ones, which have none), and whether it is alive."""
    alive = whole > 0
    ridge = RIDGE * whole if penalty is None else RIDGE * whole + penalty
    return torch.where(alive, ridge, 1.0), alive
