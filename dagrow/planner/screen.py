"""The first stage of the choice among all pairs of nodes: a cheap bound on what each place could gain.

From a bounded sample, once per node and not per pair: the features of u, the residual v_proj of v, and what the
loss would gain if v_proj could be had in full (a short line search along it). A place's bound is that gain times
the share of v_proj that the features of its sources explain, linearly for a new edge, through random neurons for
a new node; the share is adjusted for what as many features would explain of noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dagrow.build import Value, merged, output, suffix
from dagrow.graph import leading_op
from dagrow.methods import Metric
from dagrow.ops import ACTIVATIONS, to_positions
from dagrow.planner.kinds.base import Place
from dagrow.statistics import Snapshots, joined, node_features, rows, weighted_edges

SAMPLES = 1024
"""Looked at, at most."""
ROWS = 4096
"""Samples times positions that enter a fit, at most."""
NEURONS = 48
"""Random neurons that stand for all that a new node could compute."""
STEPS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Relative to where the first-order gain would be the whole loss."""
WIDEST = 384
"""Features of one node that enter a fit, at most."""
RIDGE = 1e-4


@dataclass(frozen=True)
class _Residual:
    """What is to be gained at one node.

    Attributes:
        Q: ``[rows, rank]`` orthonormal basis of what the node reads already.
        v_proj: ``[rows, M]``.
        squared: of v_proj, summed.
        gain: drop of the loss if v_proj could be had in full.
    """

    Q: Tensor
    v_proj: Tensor
    squared: float
    gain: float


class Screen:
    """Bounds for places.

    Args:
        snapshots: of the network, with the desired updates of every target and the outputs of every source.
        seed: of the random neurons.
    """

    def __init__(self, snapshots: Snapshots, seed: int) -> None:
        self.dag, self.snapshots, self.seed = snapshots.dag, snapshots, seed
        self._residuals: dict[str, _Residual] = {}
        self._features: dict[object, Tensor] = {}

    @torch.no_grad()
    def bound(self, place: Place) -> float:
        """What a place could gain, roughly; 0 where nothing can be said."""
        return sum(self._one(place, target) for target in place.targets)

    def _one(self, place: Place, target: str) -> float:
        residual = self._residual(target)
        if residual.gain <= 0 or residual.squared <= 0:
            return 0.0
        columns = [self._seen(place, source, target) for source in place.sources]
        known = [column for column in columns if column is not None]
        if not known:
            return 0.0
        return residual.gain * _share(torch.cat(known, 1), residual)

    @cached_property
    def _sample(self) -> tuple[dict[Value, Tensor], dict[str, Tensor], object]:
        """Values, desired updates and targets of the sample, as one batch."""
        fit = sum(int((~snapshot.batch.held).sum()) for snapshot in self.snapshots.passing())
        values: list[dict[Value, Tensor]] = []
        goals: list[dict[str, Tensor]] = []
        wanted = []
        for snapshot in self.snapshots.passing(goals=True):
            batch = snapshot.batch
            index = (~batch.held & (batch.lots < SAMPLES / max(1, fit))).nonzero().squeeze(1)
            if index.numel():
                values.append({value: x[index] for value, x in snapshot.values.items()})
                goals.append({name: x[index] for name, x in snapshot.goals.items()})
                wanted.append(rows(batch.target, index))
        together = {value: torch.cat([part[value] for part in values]) for value in values[0]}
        desired = {name: torch.cat([part[name] for part in goals]) for name in goals[0]}
        return together, desired, joined(wanted)

    def _rows(self, x: Tensor) -> Tensor:
        """``[n, positions, any]`` to rows, a fixed part of them where they are many."""
        flat = x.flatten(0, 1)
        step = -(-len(flat) // ROWS)
        return flat[::step]

    def _residual(self, node: str) -> _Residual:
        if node not in self._residuals:
            values, goals, _ = self._sample
            v = to_positions(goals[node])
            sources = {edge.source: values[output(edge.source)] for edge in weighted_edges(self.dag, node)}
            blocks = node_features(self.dag, node, sources, v)
            B = self._rows(torch.cat([b.expand(*v.shape[:2], -1) for b in blocks], 2)).double()
            V = self._rows(v).double()
            Q = _basis(B)
            V = V - Q @ (Q.T @ V)
            # The residual at all positions: for the search along it.
            everywhere = torch.cat([b.expand(*v.shape[:2], -1) for b in blocks], 2).double()
            dW = Metric(B.T @ B, RIDGE).solve(B.T @ self._rows(v).double())
            direction = (v.double() - everywhere @ dW).to(v.dtype)
            self._residuals[node] = _Residual(Q, V, float(V.square().sum()), self._potential(node, direction))
        return self._residuals[node]

    def _potential(self, node: str, direction: Tensor) -> float:
        """What the loss gains along a direction given sample by sample."""
        values, goals, wanted = self._sample
        network, loss = self.snapshots.network, self.snapshots.loss
        module, given = suffix(network, self.dag, (node,))
        base = values[merged(node)]
        step = direction.transpose(1, 2).reshape(base.shape) if base.dim() == 4 else direction.reshape(base.shape)

        def at(amplitude: float) -> float:
            changed = base + amplitude * step
            outs = module(*(changed if value.node == node else values[value] for value in given))
            return float(loss(outs[0] if len(outs) == 1 else outs, wanted))

        start, slope = at(0.0), float((goals[node] * step).sum()) / len(base)
        if not slope > 0:
            return 0.0
        found = [start - at(t * abs(start) / slope) for t in STEPS]
        return max((gain for gain in found if gain == gain), default=0.0)

    def _seen(self, place: Place, source: str, target: str) -> Tensor | None:
        """What ``source`` offers at the positions of ``target``: its features, or random neurons of them."""
        found = leading_op(self.dag, source, target, place.template.kernel)
        if found is None:
            return None
        op, pool = found
        key = (source, op, pool, place.activation)
        if key not in self._features:
            values = self._sample[0][output(source)]
            plain = self._narrow(self._rows(op.features(values if pool is None else pool.run(values))))
            self._features[key] = plain if place.activation is None else self._neurons(plain, place.activation)
        return self._features[key]

    def _narrow(self, features: Tensor) -> Tensor:
        """Features as they are, or as many random mixtures of them as are still cheap."""
        width = features.shape[1]
        if width <= WIDEST:
            return features.double()
        generator = torch.Generator().manual_seed(self.seed)
        mixing = torch.randn(width, WIDEST, generator=generator, dtype=torch.float64) / width**0.5
        mixed: Tensor = features @ mixing.to(features)
        return mixed.double()

    def _neurons(self, plain: Tensor, activation: str) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        S = plain.T @ plain / len(plain)
        metric = Metric(S, RIDGE)
        draw = torch.randn(metric.rank, NEURONS, generator=generator, dtype=torch.float64).to(plain.device)
        shift = torch.randn(NEURONS, generator=generator, dtype=torch.float64).to(plain.device)
        z = plain @ metric.unwhiten(draw / max(1, metric.rank) ** 0.5) + shift
        return ACTIVATIONS[activation].function(z)


def _basis(B: Tensor) -> Tensor:
    """An orthonormal basis of the columns, near-dependent ones left out."""
    scale = B.square().sum(0).sqrt()
    B = B[:, scale > 0] / scale[scale > 0]
    U: Tensor
    U, values, _ = torch.linalg.svd(B, full_matrices=False)
    return U[:, values > 1e-6 * values.max().clamp(min=1e-300)] if values.numel() else U


def _share(columns: Tensor, residual: _Residual) -> float:
    """The share of v_proj that some columns explain beyond what is there, adjusted for their number."""
    size = len(columns)
    norms = columns.square().sum(0)
    left = columns - residual.Q @ (residual.Q.T @ columns)
    fresh = left.square().sum(0) > 1e-8 * norms
    left = left[:, fresh]
    if left.shape[1] == 0:
        return 0.0
    metric = Metric(left.T @ left, RIDGE)
    share = float(metric.whiten(left.T @ residual.v_proj).square().sum()) / residual.squared
    free = size - residual.Q.shape[1] - 1
    if free <= metric.rank:
        return max(0.0, share) / 2
    return max(0.0, 1 - (1 - share) * free / (free - metric.rank))
