"""The ball around a network that `firefly` looks in, at one site: what new neurons and splits within it are worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from dagrow.flop_counter import product
from dagrow.methods.batched_lbfgs import ascend
from dagrow.methods.metric import unit_lengths
from dagrow.methods.moments import ExistingNeurons, SiteMoments
from dagrow.methods.samples import SiteSamples

EPSILON = 0.1
"""The bound, relative to what is there."""
STEPS = 10
"""Gradient steps of each candidate."""
SHAKE = 2.0**-10
"""Share of pre-activations that is added to see what rounding does to what is made of them."""
CHUNK = 2e7
"""Entries of the columns of neurons that are looked at together, to bound the memory."""


@dataclass(frozen=True)
class BallSearchResult:
    """Candidates: fan-ins ``[F, k]``, fan-outs ``[k, M]``, scores, and which neuron each splits, -1 for none.

    The fan-out of a split is 0 here: its half of what is there may be wider than what new neurons write.
    """

    alpha: Tensor
    omega: Tensor
    scores: Tensor
    splits: Tensor


@dataclass(frozen=True)
class TrustRegion:
    """The neighbourhood at one site.

    Attributes:
        samples: of the site.
        E: ``[n, P, F]``, features in the unit of fan-ins.
        unit: ``[F]``, what fan-ins in that unit are multiplied by.
        radius: of fan-ins, in that unit.
        length: of fan-outs.
        there: ``[F, K]``, existing fan-ins in that unit.
        omega: ``[K, M']``, existing fan-outs, as wide as `SiteSamples.written_there` has them.
        outputs: M, entries of a new fan-out.
    """

    samples: SiteSamples
    E: Tensor
    unit: Tensor
    radius: float
    length: float
    there: Tensor
    omega: Tensor
    outputs: int

    @staticmethod
    def of(moments: SiteMoments, samples: SiteSamples) -> TrustRegion:
        """Measured in what is there."""
        B = samples.B.detach()
        # Of these samples: sums over others depend on the batches that they come in.
        unit = 1 / unit_lengths(B.double().square().sum((0, 1)) / len(B), moments.feature_units)
        existing = moments.existing or ExistingNeurons(unit.new_zeros(len(unit), 0), unit.new_zeros(0, 0))
        there = existing.alpha.double() / unit.unsqueeze(1)
        radius, length = (
            float(x.mean()) if x.numel() and float(x.mean()) > 0 else 1.0 for x in (there.norm(dim=0), existing.fan_out)
        )
        return TrustRegion(
            samples, B * unit.to(B), unit, radius, length, there, existing.omega, moments.N_proj.shape[1]
        )

    @property
    def one_new(self) -> tuple[Tensor, ...]:
        """What the children read of some new neuron."""
        return self.samples.written(self.E[..., :1])

    @property
    def sample_read_existing(self) -> tuple[Tensor, ...]:
        """What they read of an existing one."""
        return self.samples.read_existing(self.E[..., :1], torch.zeros(1, dtype=torch.long, device=self.E.device))

    def cost(self, one: Sequence[Tensor]) -> float:
        """Multiply-adds of one neuron's worth, given what the children read of one."""
        n, positions, features = self.E.shape
        cost = float(n * positions * features)
        for child, columns in zip(self.samples.children, one, strict=True):
            cost += columns.numel() * (child.v_proj.shape[2] + 16)
        return cost

    def _at_once(self, one: Sequence[Tensor]) -> int:
        """Neurons that are looked at together, likewise."""
        n, positions, _ = self.E.shape
        return max(1, int(CHUNK / max(n * positions, *(columns.numel() for columns in one))))

    def moment(self, written: Iterable[Tensor]) -> Tensor:
        """``[k, M]``: ``E[X^T v_goal]``, X the columns that each child reads, ``[n, Q, k, fan_out]``."""
        found = []
        for child, columns in zip(self.samples.children, written, strict=True):
            assert child.v_goal is not None
            flat = columns.flatten(0, 1)
            N = product(flat.flatten(1).T, child.v_goal.detach().flatten(0, 1)) / len(self.E)
            found.append(N.reshape(flat.shape[1], -1))
        return torch.cat(found, 1)

    def new_neurons(self, count: int, generator: torch.Generator) -> BallSearchResult:
        """New neurons from random starts, each with its best fan-out."""
        starts = torch.split(self._starts(count, generator), self._at_once(self.one_new), dim=1)
        W = torch.cat([ascend(self.worth, start, STEPS) for start in starts], 1)
        W = self.radius * _inside(W)
        N = self.moment(self.samples.written(product(self.E, W))).double()
        size, bound = N.norm(dim=1), EPSILON * self.length
        omega = bound * N / size.clamp(min=torch.finfo(N.dtype).tiny).unsqueeze(1)
        features = self.E.double().square().sum((1, 2)).mean().sqrt()
        scores = torch.where(size > self._rounding(self.radius * features), bound * size, 0.0)
        alpha = W.double() * self.unit.unsqueeze(1)
        return BallSearchResult(alpha, omega, scores, torch.full_like(size, -1, dtype=torch.long))

    def worth(self, W: Tensor) -> Tensor:
        """What new neurons take off the loss at fan-outs of length 1 in the best direction, ``[k]``; differentiable.

        Args:
            W: ``[F, k]``, fan-ins in units of the radius; those outside of it count as if they were on it.
        """
        size: Tensor = self.moment(self.samples.written(product(self.E, self.radius * _inside(W)))).norm(dim=1)
        return size

    def splits(self, count: int, generator: torch.Generator) -> BallSearchResult:
        """Splits of existing neurons, of a random choice where they are many, from random directions."""
        chosen = torch.randperm(len(self.omega), generator=generator)[:count].sort().values.to(self.there.device)
        steps, scores, at_once = [], [], max(1, self._at_once(self.sample_read_existing) // 3)
        starts = self._starts(len(chosen), generator)
        for index, start in zip(torch.split(chosen, at_once), torch.split(starts, at_once, dim=1), strict=True):
            W = ascend(partial(self.split_worth, index), start, STEPS)
            steps.append(_inside(W))
            worth = self.split_worth(index, W).double()
            level = self._rounding(self._rounding_sensitivity(index)) * self.omega[index].norm(dim=1)
            scores.append(torch.where(worth > level, worth, 0.0))
        alpha = -EPSILON * self.radius * torch.cat(steps, 1).double() * self.unit.unsqueeze(1)
        return BallSearchResult(alpha, alpha.new_zeros(len(chosen), self.outputs), torch.cat(scores), chosen)

    def split_worth(self, index: Tensor, W: Tensor) -> Tensor:
        """What splits take off the loss, ``[k]``; differentiable.

        Args:
            index: ``[k]``, the neurons.
            W: ``[F, k]``, directions in units of the bound; those outside of it count as if they were on it.
        """
        z = product(self.E, self.there[:, index].to(self.E))
        step = product(self.E, EPSILON * self.radius * _inside(W))
        written = [self.samples.read_existing(each, index) for each in (z + step, z - step, z)]
        N = self.moment((up + down) / 2 - middle for up, down, middle in zip(*written, strict=True))
        worth: Tensor = (N * self.omega[index].to(N)).sum(1)
        return worth

    def _rounding_sensitivity(self, index: Tensor) -> Tensor:
        """By how much what children read of existing neurons changes with the pre-activations, ``[k]``.

        Relative to the latter's terms, which is what is rounded: a norm behind them may make more or less of it.
        """
        theta = self.there[:, index].to(self.E)
        z, terms = product(self.E, theta), self.E.norm(dim=2, keepdim=True) * theta.norm(dim=0)
        signs = 1.0 - 2.0 * (torch.arange(z[..., :1].numel(), device=z.device) % 2)
        shaken = z + SHAKE * terms * signs.to(z).view(*z.shape[:2], 1)
        written = zip(*(self.samples.read_existing(each, index) for each in (shaken, z)), strict=True)
        squares = [(one - other).double().square().sum((0, 1, 3)) for one, other in written]
        size: Tensor = (torch.stack(squares).sum(0) / len(z)).sqrt() / SHAKE
        return size

    def _starts(self, count: int, generator: torch.Generator) -> Tensor:
        """Random directions of length 1."""
        W = torch.randn(self.E.shape[2], count, generator=generator, dtype=torch.float64)
        directions: Tensor = W / W.norm(dim=0)
        return directions.to(self.E)

    def _rounding(self, size: Tensor) -> Tensor:
        """What rounding makes of the worth of neurons that write values of such size, at fan-outs of length 1."""
        squares = sum(float(c.v_goal.double().square().sum()) for c in self.samples.children if c.v_goal is not None)
        level: Tensor = 64 * torch.finfo(self.E.dtype).eps * (squares / len(self.E)) ** 0.5 * size
        return level


def _inside(W: Tensor) -> Tensor:
    """Columns in the ball of radius 1."""
    length: Tensor = W.norm(dim=0)
    return W / length.clamp(min=1.0)
