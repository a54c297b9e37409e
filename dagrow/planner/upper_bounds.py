"""The first stage of the choice among all pairs of nodes: a cheap bound on what each place could gain.

From a bounded sample, once per node and not per pair: the features of u, the residual v_proj of v, and what the
loss would gain if v_proj could be had in full (a short line search along it). A place's bound is that gain times
the share of v_proj that the features of its sources explain, linearly for a new edge, through random neurons for
a new node or more features of one that is there; the share is adjusted for what as many features would explain of
noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from dagrow.build import Value, merged, output
from dagrow.errors import NumbersError
from dagrow.flop_counter import product
from dagrow.graph import leading_op
from dagrow.methods import Metric, orthonormal
from dagrow.ops import ACTIVATIONS, Op, Pool
from dagrow.planner.explained import RIDGE, Columns, Residual, explained_shares, feature_rows, position_rows
from dagrow.planner.kinds.base import Location
from dagrow.statistics import (
    ActivationCache,
    edge_widths,
    gathered,
    joined,
    movable,
    node_features,
    rows,
    weighted_edges,
)

SAMPLES, MOST_SAMPLES = 512, 1024
"""Looked at: so many, and `PER_FEATURE` for each feature that a node reads already, up to the second number."""
PER_FEATURE = 6
NEURONS = 32
"""Random neurons that stand for all that a new node could compute."""
STEPS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Relative to where the first-order gain would be the whole loss."""
TRIED = 64
"""Samples on which the search along v_proj is done, at most."""
WIDEST = 384
"""Features of one node that enter a fit, at most."""


_Key = tuple[object, ...]
"""Names what some sources offer."""


class UpperBoundScreen:
    """Bounds for places.

    Args:
        snapshots: of the network, with the desired updates of every target and the outputs of every source.
        seed: of the random neurons.
    """

    def __init__(self, snapshots: ActivationCache, seed: int) -> None:
        self.dag, self.snapshots, self.seed = snapshots.dag, snapshots, seed
        self._residuals: dict[str, Residual] = {}
        self._features: dict[object, Tensor] = {}
        self._ways: list[tuple[Op, Pool | None]] = []
        self._numbers: dict[object, int | None] = {}
        self._columns: dict[_Key, Columns] = {}
        self._shares: dict[tuple[_Key, str], float] = {}

    @torch.no_grad()
    def bounds(self, places: Sequence[Location]) -> list[float]:
        """What each place could gain, roughly; 0 where nothing can be said."""
        pairs = [[(self._known(place, target), target) for target in place.targets] for place in places]
        self._compare({pair for each in pairs for pair in each if pair not in self._shares})
        return [sum(self._residuals[target].gain * self._shares[known, target] for known, target in p) for p in pairs]

    def _known(self, place: Location, target: str) -> _Key:
        """What a place offers a target, as a key; empty where nothing is to be gained, or nothing leads there."""
        if self._residual(target).gain <= 0 or self._residual(target).squared <= 0:
            return ()
        try:
            seen = [self._seen(place, source, target) for source in self._sources(place)]
        except NumbersError:
            return ()
        return tuple(key for key in seen if key is not None)

    def _compare(self, pairs: set[tuple[_Key, str]]) -> None:
        """The shares of all pairs, those of one target and one width at once."""
        groups: dict[tuple[str, int], list[_Key]] = {}
        for known, target in pairs:
            if not known:
                self._shares[known, target] = 0.0
                continue
            if known not in self._columns:
                self._columns[known] = Columns.of([self._features[key] for key in known])
            groups.setdefault((target, self._columns[known].values.shape[1]), []).append(known)
        for (target, _), keys in groups.items():
            found = explained_shares([self._columns[known] for known in keys], self._residual(target))
            self._shares.update({(known, target): share for known, share in zip(keys, found, strict=True)})

    def _sources(self, place: Location) -> tuple[str, ...]:
        """What new features would read: the place's sources, or what a node that is there reads already."""
        return place.sources or tuple(edge.source for edge in weighted_edges(self.dag, place.node))

    @cached_property
    def _sample(self) -> tuple[dict[Value, Tensor], dict[str, Tensor], object]:
        """Values, desired updates and targets of the sample, as one batch."""
        processes = self.snapshots.stream.processes
        fit = sum(processes.numbers(sum(int((~snapshot.batch.held).sum()) for snapshot in self.snapshots.passing())))
        widest = max((sum(edge_widths(self.dag, node).values()) for node in self.snapshots.nodes), default=0)
        share = min(max(SAMPLES, PER_FEATURE * widest), MOST_SAMPLES) / max(1, fit)
        values: list[dict[Value, Tensor]] = []
        goals: list[dict[str, Tensor]] = []
        wanted = []
        for snapshot in self.snapshots.passing(goals=True):
            batch = snapshot.batch
            index = (~batch.held & (batch.sample_uniform < share)).nonzero().squeeze(1)
            # Of the first batch even none: a process may have nothing else to say.
            if index.numel() or not values:
                values.append({value: x[index] for value, x in snapshot.values.items()})
                goals.append({name: x[index] for name, x in snapshot.goals.items()})
                wanted.append(rows(batch.target, index))
        together = {value: torch.cat([part[value] for part in values]) for value in values[0]}
        desired = {name: torch.cat([part[name] for part in goals]) for name in goals[0]}
        whole: tuple[dict[Value, Tensor], dict[str, Tensor], object] = gathered(
            (together, desired, joined(wanted)), processes
        )
        return whole

    def _residual(self, node: str) -> Residual:
        if node not in self._residuals:
            try:
                self._residuals[node] = self._wanted(node)
            except NumbersError:
                nothing = torch.zeros(0, 0)
                self._residuals[node] = Residual(nothing, nothing, 0.0, 0.0)
        return self._residuals[node]

    def _wanted(self, node: str) -> Residual:
        values, goals, _ = self._sample
        v = self.dag.merged(node).to_positions(goals[node])
        sources = {edge.source: values[output(edge.source)] for edge in weighted_edges(self.dag, node)}
        blocks = node_features(self.dag, node, sources, v)
        if frozen := self.snapshots.frozen:
            # What a frozen weight reads is left to new ones.
            blocks = movable(self.dag, weighted_edges(self.dag, node), blocks, frozen)
        B = torch.cat([b.expand(*v.shape[:2], -1) for b in blocks], 2)
        Q, mixing = orthonormal(position_rows(B))
        V = position_rows(v)
        effect = product(Q.T, V)
        V = V - product(Q, effect)
        # The residual at all positions: for the search along it.
        direction = v - B @ (mixing.to(B) @ effect)
        gain = self._potential(node, direction)
        both = torch.cat([Q, V], 1).T.contiguous()
        return Residual(Q, both, float(V.square().sum(dtype=torch.float64)), gain)

    def _potential(self, node: str, direction: Tensor) -> float:
        """What the loss gains along a direction given sample by sample."""
        values, goals, _ = self._sample
        base = values[merged(node)]
        step = self.dag.merged(node).from_positions(direction).contiguous()
        slope = float((goals[node] * step).sum()) / len(base)
        if not slope > 0:
            return 0.0
        few = slice(TRIED)
        losses = self._losses(node, base[few], step[few], [t * abs(self._start) / slope for t in STEPS])
        return max((self._start - loss for loss in losses if loss == loss), default=0.0)

    @cached_property
    def _start(self) -> float:
        """The loss of the first samples as it is."""
        values, _, wanted = self._sample
        few = torch.arange(min(TRIED, len(next(iter(values.values())))))
        outs = tuple(values[output(name)][few] for name in self.dag.spec.outputs)
        return float(self.snapshots.loss(outs[0] if len(outs) == 1 else outs, rows(wanted, few)))

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

    def _seen(self, place: Location, source: str, target: str) -> object | None:
        """What ``source`` offers at the positions of ``target``, as a key: its features, or random neurons of them."""
        found = self._way(source, target, place.template.kernel)
        if found is None:
            return None
        number, (op, pool) = found
        activation = place.activation if place.structure is not None else self.dag.node(place.node).activation
        key = (source, number, activation)
        if key not in self._features:
            values, shape = self._sample[0][output(source)], self.dag.output(source)
            read = values if pool is None else pool.functional(values, shape)
            plain = self._narrow(feature_rows(op.reading(shape), read))
            self._features[key] = plain if activation is None else self._neurons(plain, activation)
        return key

    def _way(self, source: str, target: str, kernel: int) -> tuple[int, tuple[Op, Pool | None]] | None:
        """What leads from one node to another, with a number that tells it from others; pairs are many, ways few."""
        ends = (self.dag.output(source), self.dag.merged(target), kernel)
        if ends not in self._numbers:
            way = leading_op(self.dag, source, target, kernel)
            if way is not None and way not in self._ways:
                self._ways.append(way)
            self._numbers[ends] = None if way is None else self._ways.index(way)
        number = self._numbers[ends]
        return None if number is None else (number, self._ways[number])

    def _narrow(self, features: Tensor) -> Tensor:
        """Features as they are, or as many random mixtures of them as are still cheap."""
        width = features.shape[1]
        if width <= WIDEST:
            return features
        generator = torch.Generator().manual_seed(self.seed)
        mixing = torch.randn(width, WIDEST, generator=generator, dtype=torch.float64) / width**0.5
        mixed: Tensor = product(features, mixing.to(features))
        return mixed

    def _neurons(self, plain: Tensor, activation: str) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        metric = Metric(product(plain.T, plain) / len(plain), RIDGE)
        draw = torch.randn(metric.rank, NEURONS, generator=generator, dtype=torch.float64).to(plain.device)
        shift = torch.randn(NEURONS, generator=generator, dtype=torch.float64).to(plain)
        z = product(plain, metric.unwhiten(draw / max(1, metric.rank) ** 0.5).to(plain)) + shift
        return ACTIVATIONS[activation].function(z)
