"""Non-linear neurons: those that really remove most of the bottleneck, where the linear ones may be empty.

Beside an edge u -> v a new node u -> h -> v adds nothing at first order: ``E[B^T v_proj] = 0``. So the gain of
`removal` is maximised over the fan-in itself: many starts at once, in whitened coordinates, from the linear and the
quadratic closed forms and from random directions; the best are polished by gradient steps and picked greedily, each
pick taken off what is left; omega and the accompanying updates of the existing weights are joint least squares.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.methods.fan_in import FanIn
from dagrow.methods.metric import Metric
from dagrow.methods.moments import Neurons, Request, SiteMoments
from dagrow.methods.removal import Removal
from dagrow.methods.samples import SiteSamples
from dagrow.methods.starts import closed_forms, draw

RANDOM = 32
"""Random directions among the starts."""
SHIFTS = (0.0, -1.0, 1.0)
"""Biases of the starts, in root mean squares of the pre-activation."""
SCALES = (0.7, 2.5)
"""Root mean squares of the starts' pre-activations, where the activation is not homogeneous."""
POLISHED = 16
"""Starts that are polished, the best of all."""
STEPS = 30
"""Of the polish."""
RATE = 0.3
"""First step of the polish, relative to the weights; it falls to 0."""
NOISE_DRAWS = 4
"""Draws of signs; the largest gain found in any of them is the noise level."""


def nonlinear(moments: SiteMoments, request: Request) -> Neurons:
    """At most ``request.neurons`` neurons, found on ``moments.samples``, that stand out of the noise.

    Scores are roots of the drops of the bottleneck on these samples: together the neurons remove ``sum scores^2``.
    The noise level is the largest score that the same search finds when each sample's v_proj has a random sign.
    Without samples there are no neurons.
    """
    samples = moments.samples() if moments.samples is not None else None
    if samples is None or min(samples.B.shape) == 0 or request.neurons < 1:
        return _none(moments)
    generator = torch.Generator().manual_seed(request.seed)
    fan_in = FanIn(samples, moments, request.shrinkage)
    draws = 1 + (NOISE_DRAWS if request.significance > 0 else 0)
    removal = Removal(samples, _signs(len(samples.B), draws, generator))
    if removal.size == 0 or fan_in.rank == 0:
        return _none(moments)
    return _Search(fan_in, removal, generator).run(moments, request)


def _none(moments: SiteMoments) -> Neurons:
    F, M = moments.N_proj.shape
    empty = moments.N_proj.new_zeros
    return Neurons(empty(F, 0), empty(0, M), empty(0), fan_in_fixed=True)


def _signs(n: int, draws: int, generator: torch.Generator) -> Tensor:
    """``[draws, n]``: all ones first, then random signs."""
    signs = 2.0 * torch.randint(0, 2, (draws, n), generator=generator) - 1
    signs[0] = 1
    return signs


class _Search:
    """One search at one site."""

    def __init__(self, fan_in: FanIn, removal: Removal, generator: torch.Generator) -> None:
        self.fan_in, self.removal, self.generator = fan_in, removal, generator
        z = fan_in.E[..., :8]
        once, twice = removal.activate(z), removal.activate(2 * z)
        self.homogeneous = torch.allclose(twice, 2 * once, rtol=1e-4, atol=1e-5 * float(once.abs().max()))

    def run(self, moments: SiteMoments, request: Request) -> Neurons:
        """Rounds of search and greedy picks."""
        removal, floor = self.removal, 0.0
        everything = self.search(removal)
        if removal.draws > 1:
            gains = self.gains(everything.flatten(1), removal).detach()
            floor = request.significance * float(gains[1:].max())
            noise = float(gains[1:].max()) ** 0.5
        else:
            noise = 0.0
        own = removal.draw(0)
        pool = everything[:, 0]
        picked, scores = [], []
        columns = []
        while len(picked) < request.neurons:
            if picked:
                pool = self.search(own, pool)[:, 0]
            first = 0.0
            while len(picked) < request.neurons:
                gains = self.gains(pool, own)[0].detach()
                best = int(gains.argmax())
                if float(gains[best]) < 0.5 * first or float(gains[best]) <= 0:
                    break
                w = pool[:, best : best + 1]
                trial = own.draw(0)
                drop, X = trial.pick(self.fan_in.E @ w)
                if drop <= max(request.significance**2 * noise**2, 1e-9):
                    break
                own = trial
                first = first or float(gains[best])
                picked.append(w)
                scores.append(drop**0.5)
                columns.append(X)
            if not first:
                break
        if not picked:
            return _none(moments)
        return self.solve(torch.cat(picked, 1), scores, noise, columns)

    def gains(self, W, removal):
        return removal.gains(self.fan_in.E @ W, self.fan_in.penalty(W))

    def search(self, removal: Removal, more: Tensor | None = None) -> Tensor:
        """[rank, draws, k]"""
        starts = self.starts(removal)
        k = min(POLISHED, starts.shape[2])
        with torch.no_grad():
            gains = self.gains(starts.flatten(1), removal)
        J = starts.shape[2]
        per = gains.view(removal.draws, -1, self.shapes)
        top, which = per.max(2)
        order = top.topk(min(k, top.shape[1]), 1).indices
        index = order * self.shapes + which.gather(1, order)
        W = starts.gather(2, index.unsqueeze(0).expand(starts.shape[0], -1, -1))
        if more is not None:
            W = torch.cat([W, more.unsqueeze(1)], 2)
            with torch.no_grad():
                g = self.gains(W.flatten(1), removal)
            W = W[:, :, g[0].topk(k).indices]
        return self.polish(W.flatten(1), removal).view(W.shape)

    def starts(self, removal: Removal) -> Tensor:
        fan_in = self.fan_in
        per = []
        for d in range(removal.draws):
            U = closed_forms(fan_in, removal.draw(d), self.generator)
            U = torch.cat([U, draw(fan_in.rank, RANDOM, self.generator, U)], 1)
            U = fan_in.directions(U)
            U = torch.cat([U, -U], 1)
            per.append(U)
        U = torch.stack(per, 1)  # [rank, draws, J]
        scales = (1.0,) if self.homogeneous else SCALES
        shifts = SHIFTS if fan_in.constant is not None else (0.0,)
        variants = []
        for s in scales:
            for b in shifts:
                V = U
                if b:
                    V = U + b * fan_in.constant.view(-1, 1, 1)
                variants.append(s * V)
        self.shapes = len(variants)
        return torch.stack(variants, 3).flatten(2)  # [rank, draws, J*shapes]

    def polish(self, W: Tensor, removal: Removal) -> Tensor:
        m = torch.zeros_like(W)
        second = torch.zeros(W.shape[1], dtype=W.dtype, device=W.device)
        b1, b2 = 0.9, 0.95
        for t in range(STEPS):
            with torch.enable_grad():
                x = W.detach().requires_grad_()
                gains = self.gains(x, removal)
                (g,) = torch.autograd.grad(gains.sum(), x)
            g = g.nan_to_num(0.0, 0.0, 0.0)
            m = b1 * m + (1 - b1) * g
            second = b2 * second + (1 - b2) * g.square().sum(0)
            size = (second / (1 - b2 ** (t + 1))).sqrt().clamp(min=1e-30)
            rate = RATE * (1 - t / STEPS)
            W = W + rate * W.norm(dim=0) * (m / (1 - b1 ** (t + 1))) / size
            if self.homogeneous:
                W = W / W.norm(dim=0)
        return W

    def solve(self, W, scores, noise, columns) -> Neurons:
        removal = self.removal
        size = removal.size
        alpha = self.fan_in.alpha(W)
        omegas, updates = [], []
        K = W.shape[1]
        for i, child in enumerate(removal.children):
            X = torch.stack([c[i] for c in columns], 1)
            rows, _, fan_out = X.shape
            X = X.reshape(rows, -1)
            A = child.O.T @ X
            left = X - child.O @ A
            more = child.O.T @ left
            A, left = A + more, left - child.O @ more
            metric = Metric((left.T @ left).double(), precision=left.dtype)
            omega = metric.solve((left.T @ child.v[0]).double()) * size * len(removal.children[0].samples.v_proj) ** 0.5
            updates.append(-(child.T @ A.double() @ omega).T)
            omegas.append(omega.view(K, -1))
        scores = torch.tensor(scores, dtype=torch.float64, device=alpha.device) * size
        return Neurons(alpha, torch.cat(omegas, 1), scores, noise * size, tuple(updates), True)
