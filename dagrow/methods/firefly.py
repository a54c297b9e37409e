"""Firefly: the steepest change of the function within a small ball of it (Wu, Wang, Stone & Liu, NeurIPS 2020).

The neighbours of a network (thesis 2.1.3) are those in which neurons are split,
``(act((theta + eps d)^T x) + act((theta - eps d)^T x)) / 2``, new neurons are added, ``eps act(d^T x)``, and skip
edges, likewise, each d in an l2 ball. All are optimised for what they take off the loss by a few gradient steps; then
the best are chosen and enter as they are, at the bound.

The loss is taken as linear in what the children get, which it is but for terms of order eps^2 times the curvature: a
candidate with effect ``e`` on the children's pre-activations is worth ``E[v_goal . e]``, each by itself. A split
changes nothing at first order in eps; its worth is of second order in eps d, or comes of the samples whose side of a
kink it changes. Of a new neuron's two sides only alpha is searched: within ``||omega|| <= eps l`` the best fan-out is
``eps l N / ||N||``, with ``N = E[act(B alpha)^T v_goal]``. Of an edge it is the same without alpha.

What the ball is measured in is ours: the mean length of the fan-ins that are there (features in units of their
overall root mean square, as `random` has them) and that of the fan-outs, 1 in an empty node.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dagrow.methods.ascent import ascend
from dagrow.methods.moments import EdgeMoments, Neurons, NewWeights, Request, SiteMoments
from dagrow.methods.samples import SiteSamples
from dagrow.methods.scene import Scene
from dagrow.work import product

EPSILON = 0.1
"""The bound, relative to what is there."""
STEPS = 10
"""Gradient steps of each candidate."""
NEW = (8, 64)
"""New neurons that are tried, at least and at most; as many as the effort allows."""
SPLITS = (8, 256)
"""Existing neurons whose split is tried, likewise."""
SAME = 0.95
"""Product of the cosines of outputs and of fan-outs above which two new neurons are one."""
CHUNK = 2e7
"""Entries of the columns of neurons that are looked at together, to bound the memory."""


def firefly(moments: SiteMoments, request: Request) -> Neurons:
    """The best of new neurons and of splits; scores are what each takes off a loss that is linear.

    A neuron is split once at most. Of a split, ``alpha`` is the step of the copy; the original makes the opposite one.
    Splits are tried where the fan-outs of the neurons that are there are known, see `Existing.omega`.
    """
    samples = moments.samples() if moments.samples is not None else None
    if samples is None or any(child.v_goal is None for child in samples.children):
        return Neurons.none(moments, "there are no samples to search on")
    if request.neurons < 1 or not samples.children or not samples.B.numel():
        return Neurons.none(moments, "there is nothing to read or to write")
    ball = Ball.of(moments, samples)
    generator = torch.Generator().manual_seed(request.seed)
    affordable = request.effort / (6 * STEPS * ball.cost)
    with torch.no_grad():
        found = [ball.new_neurons(_within(affordable, NEW), generator)]
        if ball.omega is not None and len(ball.omega):
            found.append(ball.splits(_within(affordable / 3, SPLITS), generator))
    alpha, omega = torch.cat([part.alpha for part in found], 1), torch.cat([part.omega for part in found])
    scores, splits = torch.cat([part.scores for part in found]), torch.cat([part.splits for part in found])
    chosen = _best(ball, found[0], scores, request.neurons)
    if not chosen:
        return Neurons.none(moments, "nothing within the bound lowers the loss")
    splits = splits[chosen]
    own = splits if bool((splits >= 0).any()) else None
    why = None if own is None else Split(tuple(sorted(j for j in splits.tolist() if j >= 0)))
    return Neurons(
        alpha[:, chosen], omega[chosen], scores[chosen], fan_in_fixed=True, bounded=True, splits=own, why=why
    )


def firefly_edge(moments: EdgeMoments, request: Request) -> NewWeights | None:
    """The steepest weights of a new edge within the bound: along the gradient."""
    size, unit = float(moments.N.norm()), float(moments.squares.mean().sqrt())
    rounding = 8 * torch.finfo(moments.precision).eps * (float(moments.squares.sum()) * moments.v_goal_squared) ** 0.5
    if not unit > 0 or not size > rounding:
        return None
    length = EPSILON * (moments.written if moments.written > 0 else 1.0) / unit
    return NewWeights(length / size * moments.N.T, length * size)


@dataclass(frozen=True)
class Split:
    """Why some neurons are no new ones: whose halves they are.

    Attributes:
        neurons: that were split, by their places in the node.
    """

    neurons: tuple[int, ...]

    def __str__(self) -> str:
        one = len(self.neurons) == 1
        return f"neuron{'' if one else 's'} {', '.join(map(str, self.neurons))} {'is' if one else 'are'} split"

    @property
    def entry(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {"split": list(self.neurons)}

    @property
    def scene(self) -> Scene | None:
        """Nothing to be drawn."""
        return None


@dataclass(frozen=True)
class Found:
    """Candidates: fan-ins ``[F, k]``, fan-outs ``[k, M]``, scores, and which neuron each splits, -1 for none."""

    alpha: Tensor
    omega: Tensor
    scores: Tensor
    splits: Tensor


@dataclass(frozen=True)
class Ball:
    """The neighbourhood at one site.

    Attributes:
        samples: of the site.
        E: ``[n, P, F]``, features in the unit of fan-ins.
        unit: ``[F]``, what fan-ins in that unit are multiplied by.
        radius: of fan-ins, in that unit.
        length: of fan-outs.
        there: ``[F, K]``, existing fan-ins in that unit.
        omega: ``[K, M]``, existing fan-outs, where neurons can be split.
    """

    samples: SiteSamples
    E: Tensor
    unit: Tensor
    radius: float
    length: float
    there: Tensor
    omega: Tensor | None

    @staticmethod
    def of(moments: SiteMoments, samples: SiteSamples) -> Ball:
        """Measured in what is there."""
        unit = torch.ones(len(moments.S), dtype=torch.float64, device=moments.S.device)
        features = len(unit) - 1 if moments.has_constant else len(unit)
        rms = moments.S.diagonal()[:features].mean().sqrt()
        if features and float(rms) > 0:
            constant = moments.S.diagonal()[-1].sqrt() if moments.has_constant else 1.0
            unit[:features] = constant / rms
        there = moments.existing.alpha.double() if moments.existing is not None else unit.new_zeros(len(unit), 0)
        there = there / unit.unsqueeze(1)
        fan_out = moments.existing.fan_out if moments.existing is not None else unit.new_zeros(0)
        radius, length = (
            float(x.mean()) if x.numel() and float(x.mean()) > 0 else 1.0 for x in (there.norm(dim=0), fan_out)
        )
        omega = None if moments.existing is None else moments.existing.omega
        B = samples.B.detach()
        return Ball(samples, B * unit.to(B), unit, radius, length, there, omega)

    @property
    def cost(self) -> float:
        """Multiply-adds of one neuron's worth."""
        n, positions, features = self.E.shape
        outputs = self.samples.activate(self.E[..., :1])
        cost = float(n * positions * features)
        for child in self.samples.children:
            cost += child.read(outputs).numel() * (child.v_proj.shape[2] + 16)
        return cost

    @property
    def _at_once(self) -> int:
        """Neurons that are looked at together."""
        n, positions, _ = self.E.shape
        outputs = self.samples.activate(self.E[..., :1])
        return max(1, int(CHUNK / max(n * positions, *(c.read(outputs).numel() for c in self.samples.children))))

    def moment(self, *parts: tuple[float, Tensor]) -> Tensor:
        """``[k, M]``: ``E[X^T v_goal]``, X the columns that the children read of some outputs ``[n, P', k]``, added.

        Args:
            parts: each a factor and outputs.
        """
        found = []
        for child in self.samples.children:
            assert child.v_goal is not None
            flat = torch.stack([factor * child.read(outputs) for factor, outputs in parts]).sum(0).flatten(0, 1)
            N = product(flat.flatten(1).T, child.v_goal.detach().flatten(0, 1)) / len(self.E)
            found.append(N.reshape(flat.shape[1], -1))
        return torch.cat(found, 1)

    def new_neurons(self, count: int, generator: torch.Generator) -> Found:
        """New neurons from random starts, each with its best fan-out."""
        starts = torch.split(self._starts(count, generator), self._at_once, dim=1)
        W = torch.cat([ascend(self.worth, start, STEPS) for start in starts], 1)
        W = self.radius * _inside(W)
        N = self.moment((1.0, self.samples.activate(product(self.E, W)))).double()
        size, bound = N.norm(dim=1), EPSILON * self.length
        omega = bound * N / size.clamp(min=torch.finfo(N.dtype).tiny).unsqueeze(1)
        scores = torch.where(size > self._rounding(omega / bound), bound * size, 0.0)
        alpha = W.double() * self.unit.unsqueeze(1)
        return Found(alpha, omega, scores, torch.full_like(size, -1, dtype=torch.long))

    def worth(self, W: Tensor) -> Tensor:
        """What new neurons take off the loss at fan-outs of length 1 in the best direction, ``[k]``; differentiable.

        Args:
            W: ``[F, k]``, fan-ins in units of the radius; those outside of it count as if they were on it.
        """
        size: Tensor = self.moment((1.0, self.samples.activate(product(self.E, self.radius * _inside(W))))).norm(dim=1)
        return size

    def splits(self, count: int, generator: torch.Generator) -> Found:
        """Splits of existing neurons, of a random choice where they are many, from random directions."""
        assert self.omega is not None
        chosen = torch.randperm(len(self.omega), generator=generator)[:count].sort().values.to(self.there.device)
        steps, scores, at_once = [], [], max(1, self._at_once // 3)
        starts = self._starts(len(chosen), generator)
        for index, start in zip(torch.split(chosen, at_once), torch.split(starts, at_once, dim=1), strict=True):
            W = ascend(partial(self.split_worth, index), start, STEPS)
            steps.append(_inside(W))
            scores.append(self.split_worth(index, W))
        omega, worth = self.omega[chosen], torch.cat(scores).double()
        alpha = -EPSILON * self.radius * torch.cat(steps, 1).double() * self.unit.unsqueeze(1)
        return Found(alpha, omega / 2, torch.where(worth > self._rounding(omega), worth, 0.0), chosen)

    def split_worth(self, index: Tensor, W: Tensor) -> Tensor:
        """What splits take off the loss, ``[k]``; differentiable.

        Args:
            index: ``[k]``, the neurons.
            W: ``[F, k]``, directions in units of the bound; those outside of it count as if they were on it.
        """
        assert self.omega is not None
        z = product(self.E, self.there[:, index].to(self.E))
        step = product(self.E, EPSILON * self.radius * _inside(W))
        activate = self.samples.activate
        N = self.moment((0.5, activate(z + step)), (0.5, activate(z - step)), (-1.0, activate(z)))
        worth: Tensor = (N * self.omega[index].to(N)).sum(1)
        return worth

    def _starts(self, count: int, generator: torch.Generator) -> Tensor:
        """Random directions of length 1."""
        W = torch.randn(self.E.shape[2], count, generator=generator, dtype=torch.float64)
        directions: Tensor = W / W.norm(dim=0)
        return directions.to(self.E)

    def _rounding(self, omega: Tensor) -> Tensor:
        """What rounding makes of the worth of neurons with such fan-outs, ``[k]``."""
        squares = sum(float(c.v_goal.double().square().sum()) for c in self.samples.children if c.v_goal is not None)
        size = self.radius * float(self.E.double().square().sum((1, 2)).mean() * squares / len(self.E)) ** 0.5
        lengths: Tensor = omega.double().norm(dim=1)
        level: Tensor = 64 * torch.finfo(self.E.dtype).eps * size * lengths
        return level


def _inside(W: Tensor) -> Tensor:
    """Columns in the ball of radius 1."""
    length: Tensor = W.norm(dim=0)
    return W / length.clamp(min=1.0)


def _within(wanted: float, bounds: tuple[int, int]) -> int:
    """The number wanted, or the nearest within the bounds."""
    return min(max(int(wanted), bounds[0]), bounds[1])


def _best(ball: Ball, new: Found, scores: Tensor, count: int) -> list[int]:
    """The candidates with the highest scores above 0; new neurons, which come first, that are one count once."""
    W = (new.alpha / ball.unit.unsqueeze(1)).to(ball.E)
    outputs = ball.samples.activate(product(ball.E, W)).flatten(0, 1)
    alike = _cosines(outputs.double().T) * _cosines(new.omega) > SAME
    chosen: list[int] = []
    for index in scores.nan_to_num(0.0).argsort(descending=True, stable=True).tolist():
        if len(chosen) == count or not float(scores[index]) > 0:
            break
        rivals = [other for other in chosen if max(index, other) < len(alike)]
        if not bool(alike[index, rivals].any() if rivals else False):
            chosen.append(index)
    return chosen


def _cosines(rows: Tensor) -> Tensor:
    """``[k, k]``, between any two of them."""
    unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
    return product(unit, unit.T)
