"""The first stage of the choice among all pairs of nodes: a cheap bound on what each place could gain.

From a bounded sample, once per node and not per pair: the features of u, the residual v_proj of v, and what the
loss would gain if v_proj could be had in full (a short line search along it). A place's bound is that gain times
the share of v_proj that the features of its sources explain, linearly for a new edge, through random neurons for
a new node or more features of one that is there; the share is adjusted for what as many features would explain of
noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dagrow.build import Value, merged, output
from dagrow.graph import leading_op
from dagrow.methods import Metric, orthonormal
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
TRIED = 128
"""Samples on which the search along v_proj is done, at most."""
WIDEST = 384
"""Features of one node that enter a fit, at most."""
RIDGE = 1e-4
FRESH = 1e-4
"""Part of a feature's square that must be new at a target: less than this is rounding, or as good as there."""


@dataclass(frozen=True)
class _Residual:
    """What is to be gained at one node.

    Attributes:
        basis: ``[rows, rank]`` orthonormal, of what the node reads already.
        both: ``[rank + M, rows]``, the basis and v_proj, one below the other.
        squared: of v_proj, summed.
        gain: drop of the loss if v_proj could be had in full.
    """

    basis: Tensor
    both: Tensor
    squared: float
    gain: float


@dataclass(frozen=True)
class _Columns:
    """What some sources offer: ``[rows, any]`` and its Gram matrix."""

    values: Tensor
    gram: Tensor


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
        self._columns: dict[object, _Columns] = {}
        self._shares: dict[object, float] = {}

    @torch.no_grad()
    def bound(self, place: Place) -> float:
        """What a place could gain, roughly; 0 where nothing can be said."""
        return sum(self._one(place, target) for target in place.targets)

    def _one(self, place: Place, target: str) -> float:
        residual = self._residual(target)
        if residual.gain <= 0 or residual.squared <= 0:
            return 0.0
        seen = [self._seen(place, source, target) for source in self._sources(place)]
        known = tuple(key for key in seen if key is not None)
        if not known:
            return 0.0
        if (known, target) not in self._shares:
            if known not in self._columns:
                values = torch.cat([self._features[key] for key in known], 1)
                self._columns[known] = _Columns(values, values.T @ values)
            self._shares[known, target] = _share(self._columns[known], residual)
        return residual.gain * self._shares[known, target]

    def _sources(self, place: Place) -> tuple[str, ...]:
        """What new features would read: the place's sources, or what a node that is there reads already."""
        return place.sources or tuple(edge.source for edge in weighted_edges(self.dag, place.node))

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
            B = torch.cat([b.expand(*v.shape[:2], -1) for b in blocks], 2)
            Q, mixing = orthonormal(self._rows(B))
            V = self._rows(v)
            effect = Q.T @ V
            V = V - Q @ effect
            # The residual at all positions: for the search along it.
            direction = v - B @ (mixing.to(B) @ effect)
            gain = self._potential(node, direction)
            both = torch.cat([Q, V], 1).T.contiguous()
            self._residuals[node] = _Residual(Q, both, float(V.square().sum(dtype=torch.float64)), gain)
        return self._residuals[node]

    def _potential(self, node: str, direction: Tensor) -> float:
        """What the loss gains along a direction given sample by sample."""
        values, goals, wanted = self._sample
        base = values[merged(node)]
        step = direction.transpose(1, 2).reshape(base.shape) if base.dim() == 4 else direction.reshape(base.shape)
        slope = float((goals[node] * step).sum()) / len(base)
        if not slope > 0:
            return 0.0
        few = slice(TRIED)
        start = self._losses(node, base[few], step[few], [0.0])[0]
        losses = self._losses(node, base[few], step[few], [t * abs(start) / slope for t in STEPS])
        return max((start - loss for loss in losses if loss == loss), default=0.0)

    def _losses(self, node: str, base: Tensor, step: Tensor, amplitudes: list[float]) -> list[float]:
        """The losses of the first samples with steps added to a pre-activation."""
        values, _, wanted = self._sample
        module, given = self.snapshots.suffix((node,))
        target = rows(wanted, torch.arange(len(base), device=base.device))
        beside = {value: values[value][: len(base)] for value in given if value.node != node}
        losses: list[float] = []
        # All at once, unless samples see one another.
        for part in [[a] for a in amplitudes] if self.snapshots.network.training else [amplitudes]:
            changed = torch.cat([base + amplitude * step for amplitude in part])
            repeated = {value: torch.cat([x] * len(part)) for value, x in beside.items()}
            outs = module(*(changed if value.node == node else repeated[value] for value in given))
            for each in zip(*(out.chunk(len(part)) for out in outs), strict=True):
                losses.append(float(self.snapshots.loss(each[0] if len(each) == 1 else each, target)))
        return losses

    def _seen(self, place: Place, source: str, target: str) -> object | None:
        """What ``source`` offers at the positions of ``target``, as a key: its features, or random neurons of them."""
        found = leading_op(self.dag, source, target, place.template.kernel)
        if found is None:
            return None
        op, pool = found
        activation = place.activation if place.structure is not None else self.dag.node(place.node).activation
        key = (source, op, pool, activation)
        if key not in self._features:
            values = self._sample[0][output(source)]
            plain = self._narrow(self._rows(op.features(values if pool is None else pool.run(values))))
            self._features[key] = plain if activation is None else self._neurons(plain, activation)
        return key

    def _narrow(self, features: Tensor) -> Tensor:
        """Features as they are, or as many random mixtures of them as are still cheap."""
        width = features.shape[1]
        if width <= WIDEST:
            return features
        generator = torch.Generator().manual_seed(self.seed)
        mixing = torch.randn(width, WIDEST, generator=generator, dtype=torch.float64) / width**0.5
        mixed: Tensor = features @ mixing.to(features)
        return mixed

    def _neurons(self, plain: Tensor, activation: str) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        metric = Metric(plain.T @ plain / len(plain), RIDGE)
        draw = torch.randn(metric.rank, NEURONS, generator=generator, dtype=torch.float64).to(plain.device)
        shift = torch.randn(NEURONS, generator=generator, dtype=torch.float64).to(plain)
        z = plain @ metric.unwhiten(draw / max(1, metric.rank) ** 0.5).to(plain) + shift
        return ACTIVATIONS[activation].function(z)


def _share(columns: _Columns, residual: _Residual) -> float:
    """The share of v_proj that some columns explain beyond what is there, adjusted for their number."""
    size, rank = residual.basis.shape
    known, explained = (residual.both @ columns.values).tensor_split([rank])
    # What is there already is taken off; v_proj has nothing of it.
    left = columns.gram - known.T @ known
    squares = left.diagonal()
    fresh = (squares > FRESH * columns.gram.diagonal()).nonzero().squeeze(1)
    if not fresh.numel():
        return 0.0
    if len(fresh) < len(squares):
        left, explained, squares = left[fresh][:, fresh], explained[:, fresh], squares[fresh]
    scale = squares.rsqrt()
    correlation = left * scale * scale.unsqueeze(1)
    correlation.diagonal().add_(RIDGE)
    L, _ = torch.linalg.cholesky_ex(correlation)
    whitened = torch.linalg.solve_triangular(L, (explained * scale).T, upper=False)
    share = float(whitened.square().sum()) / residual.squared
    if not share >= 0:
        return 0.0
    count = len(fresh)
    free = size - rank - 1
    if free <= count:
        return min(1.0, share) / 2
    return max(0.0, 1 - (1 - share) * free / (free - count))
