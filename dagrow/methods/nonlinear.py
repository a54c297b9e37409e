"""Non-linear neurons: those that really remove most of the bottleneck, where linear ones may be empty.

Beside an edge u -> v a new node u -> h -> v adds nothing at first order: ``E[B^T v_proj] = 0`` (thesis, Conclusion).
So the gain of `removal` is maximised over the fan-in itself, many fan-ins at once in the coordinates of `fan_in`:
`starts` from linear and quadratic closed forms and at random, the best polished by `ascent`, then picked greedily,
each pick taken off what is left for the next. Fan-out and the accompanying updates of existing weights are joint
least squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dagrow.flop_counter import product
from dagrow.methods.batched_lbfgs import ascend
from dagrow.methods.fan_in import FanIn
from dagrow.methods.initial_fan_ins import AT_ONCE, starts
from dagrow.methods.modes import SearchedFanOut
from dagrow.methods.moments import MethodRequest, Neurons, SiteMoments
from dagrow.methods.residual_fit import ResidualFit
from dagrow.ties import agreeing, first_best

POLISHED = (4, 32)
"""Least and most starts that are polished per draw, the best of all."""
TRIED = (24, 1000)
"""Least and most starts per draw."""
CHUNK = 2e7
"""Entries of the columns of neurons that are tried at once, to bound the memory."""
STEPS = (8, 20)
"""Least and most steps of the polish; 20 reach 9 tenths of the gain that hundreds do, 8 reach 7."""
FRESH = 0.5
"""Once the best of the polished ones gains less than this part of the first pick (or too little), a new search."""
UPDATE_RIDGE = 0.1
"""On the update that goes with the neurons, at most: the shrinkage of their fan-ins where that is less. More keeps the
update from making room for the neurons. Fashion-MNIST, standardized, 6 280 samples, 8 selu neurons beside a linear
classifier: at shrinkage 1 they remove 0.025 of the bottleneck on other samples with 0.1, and 0.017 with 1; without a
ridge 0.001 at best, at any shrinkage."""
NOISE_DRAWS = 3
"""Draws of noise of either kind: v_proj with a random sign per sample, and v_proj of another sample."""
SPREAD, LEAST_SPREAD = 3.0, 0.05
"""Noise level: the mean over the draws of a kind plus so many standard deviations, each at least this part of the
mean, since so few draws may lie close to each other by chance."""


def nonlinear(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """At most ``request.neurons`` neurons, found on ``moments.samples``, that stand out of the noise.

    Scores are roots of the drops of the bottleneck on these samples: together the neurons remove ``sum scores^2``.
    The noise level is the score that the same search reaches where nothing is to be found: when each sample's v_proj
    has a random sign (tiny appendix D.3), or is that of another sample, whichever scores more. Signs keep v_proj large
    where it is large, which a shuffle does not; a shuffle keeps the desired updates of a class alike, and a kinked
    activation finds more in those than in random signs. Without samples there are no neurons.
    """
    samples = moments.samples() if moments.samples is not None else None
    if samples is None or request.neurons < 1 or not samples.children or not samples.B.numel():
        return _none(moments)
    generator = torch.Generator().manual_seed(request.seed)
    noise = _noise(len(samples.B), generator) if request.significance > 0 else None
    with torch.no_grad():
        removal = ResidualFit.of(samples, noise, min(request.shrinkage, UPDATE_RIDGE))
        fan_in = FanIn(samples, moments, request.shrinkage)
        if removal.size == 0 or fan_in.rank == 0:
            return _none(moments)
        search = _Search(fan_in, generator, request.effort)
        pools = search.best(removal)
        noise_level = search.noise_level(removal, pools[1:]) if noise else 0.0
        # What rounding leaves of a v_proj that is really 0, as in `tiny`.
        eps = 8 * torch.finfo(samples.B.dtype).eps * fan_in.rank**0.5
        rounding = max(eps * moments.v_goal_squared**0.5 / removal.size, eps)
        floor = max(request.significance * noise_level, rounding)
        later = rounding if request.keep_below_noise else floor
        picks = list(search.picks(removal.draw(0), pools[0], request.neurons, floor, later))
        if not picks:
            return _none(moments, noise_level * removal.size)
        W = torch.cat([w for w, _ in picks], 1)
        scores = torch.tensor([score for _, score in picks], dtype=torch.float64, device=W.device)
        omega, updates = removal.solve(fan_in.E @ W)
        alpha = fan_in.alpha(W)
        if search.homogeneous:
            alpha, omega = _balanced(alpha, omega, fan_in.lengths)
    return Neurons(alpha, omega, scores * removal.size, noise_level * removal.size, SearchedFanOut(updates))


def _none(moments: SiteMoments, noise_level: float = 0.0) -> Neurons:
    F, M = moments.N_proj.shape
    empty = moments.N_proj.double().new_empty
    return Neurons(empty(F, 0), empty(0, M), empty(0), noise_level, SearchedFanOut())


def _noise(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Order and signs, ``[draws, n]``: draws of signs first, then draws of shuffles."""
    signs = 2.0 * torch.randint(0, 2, (NOISE_DRAWS, n), generator=generator) - 1
    order = torch.stack([torch.randperm(n, generator=generator) for _ in range(NOISE_DRAWS)])
    same = torch.arange(n).expand_as(order)
    return torch.cat([same, order]), torch.cat([signs, torch.ones_like(signs)])


def _within(wanted: float, bounds: tuple[int, int]) -> int:
    """The number wanted, or the nearest within the bounds."""
    return min(max(int(wanted), bounds[0]), bounds[1])


def _balanced(alpha: Tensor, omega: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The same neurons with fan-in and fan-out of equal norms, for homogeneous activations."""
    ratio = (omega.norm(dim=1) / (lengths.unsqueeze(1) * alpha).norm(dim=0)).sqrt()
    ratio = torch.where((ratio > 0) & ratio.isfinite(), ratio, 1.0)
    return alpha * ratio, omega / ratio.unsqueeze(1)


def _homogeneous(activate: Callable[[Tensor], Tensor], like: Tensor) -> bool:
    """Whether ``act(2 z) = 2 act(z)``, over values of either sign: features themselves may be 0 nearly everywhere."""
    z = torch.linspace(-2.0, 2.0, 4 * like.numel(), dtype=like.dtype, device=like.device).view(*like.shape[:-1], 4)
    once, twice = activate(z), activate(2 * z)
    return torch.allclose(twice, 2 * once, rtol=1e-4, atol=1e-5 * float(once.abs().amax()))


class _Search:
    """The search at one site; weights W are in the coordinates of its fan-ins."""

    def __init__(self, fan_in: FanIn, generator: torch.Generator, effort: float) -> None:
        self.fan_in, self.generator, self.effort = fan_in, generator, effort
        self.homogeneous = _homogeneous(fan_in.samples.activate, fan_in.E[..., :1])

    def gains(self, W: Tensor, removal: ResidualFit) -> Tensor:
        """``[K]``, in the order of W's columns; those for the first draw first."""
        return removal.gains(product(self.fan_in.E, W), self.fan_in.penalty(W))

    def best(self, removal: ResidualFit, more: Tensor | None = None) -> list[Tensor]:
        """Polished weights ``[rank, k]`` for each draw, from starts and ``more`` of them."""
        fan_in, draws = self.fan_in, removal.draws
        cost, size = self._cost(removal)
        # Where a neuron costs much, fewer are tried; a slope costs two evaluations more.
        affordable = self.effort / (3 * cost * draws)
        polished = _within(affordable / STEPS[1], POLISHED)
        at_once = max(1, int(CHUNK / size))
        together = max(1, at_once // AT_ONCE)
        tried = _within(affordable, TRIED)
        each = []
        for first in range(0, draws, together):
            few = removal.draw(first, together)
            each.append(starts(fan_in, few, self.homogeneous, self.generator, tried))
        own = torch.cat(each, 1)
        if more is not None:
            own = torch.cat([own, more.unsqueeze(1).expand(-1, draws, -1)], 2)
        gains = [
            self.gains(w.flatten(1), removal).view(draws, -1) for w in torch.split(own, max(1, at_once // draws), 2)
        ]
        best = torch.cat(gains, 1).nan_to_num(-torch.inf).topk(min(polished, own.shape[2]), dim=1).indices
        W = own.gather(2, best.expand(len(own), -1, -1)).flatten(1)
        tiny = torch.finfo(W.dtype).tiny
        # The logarithm has neither a unit nor, for a small gain, a small slope.
        steps = _within(affordable / polished, STEPS)
        return list(ascend(lambda w: self.gains(w, removal).clamp(min=tiny).log(), W, steps).chunk(draws, dim=1))

    def _cost(self, removal: ResidualFit) -> tuple[float, int]:
        """Multiply-adds of one neuron's gain, and the entries of its columns."""
        n, positions, rank = self.fan_in.E.shape
        outputs = removal.samples.activate(self.fan_in.E[..., :1])
        cost, size = float(n * positions * rank), n * positions
        for target in removal.targets:
            fan_out = target.columns(outputs).shape[2]
            rows, width = target.basis.shape
            # An entry is moved a few times besides, which costs as much as some products.
            cost += rows * fan_out * (width + target.v.shape[2] + fan_out + 16)
            size += rows * fan_out
        return cost, size

    def noise_level(self, removal: ResidualFit, pools: list[Tensor]) -> float:
        """What a first pick would score if nothing were there to find."""
        noise = removal.draw(1, len(pools))
        together = torch.stack(pools, 1)
        gains = self.gains(together.flatten(1), noise).nan_to_num(0.0).view(len(pools), -1)
        first = together.gather(2, agreeing(gains).int().argmax(1).view(-1, 1).expand(len(together), -1, -1)).squeeze(2)
        drops = torch.tensor(noise.drops(self.fan_in.E @ first), dtype=torch.float64)
        found = drops.sqrt().view(-1, NOISE_DRAWS)
        mean, spread = found.mean(1), found.std(1)
        return float((mean + SPREAD * torch.maximum(spread, LEAST_SPREAD * mean)).max())

    def _first(self, pool: Tensor, removal: ResidualFit) -> tuple[Tensor, float]:
        """The best of a pool, ``[rank, 1]``, and its gain."""
        gains = self.gains(pool, removal).nan_to_num(0.0)
        best = first_best(gains)
        return pool[:, best : best + 1], float(gains[best])

    def picks(
        self, removal: ResidualFit, pool: Tensor, count: int, floor: float, later: float
    ) -> Iterator[tuple[Tensor, float]]:
        """Weights ``[rank, 1]`` and score, one neuron after the other, as long as they score enough.

        Args:
            removal: of one draw.
            pool: ``[rank, any]`` polished weights.
            count: at most so many.
            floor: that the first must score more than.
            later: likewise, the others.
        """
        fresh, first = True, 0.0
        for _ in range(count):
            w, gain = self._first(pool, removal)
            if not fresh and gain < max(FRESH * first, floor**2):
                (pool,) = self.best(removal, pool)
                w, gain = self._first(pool, removal)
                fresh = True
            drop, removal = removal.picked(self.fan_in.E @ w)
            if drop <= floor**2:
                return
            floor = later
            if fresh:
                fresh, first = False, gain
            yield w, drop**0.5
