"""A bounded random subset of the samples at a site, for methods to which moments do not say enough.

A search climbs many hills, and rounding decides on which of them it ends. So what it sees does not depend on the way in
which the data are cut into batches, to the last bit: the samples are looked at once more, in batches of their own, and
what the existing weights could do is fitted to these very samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dagrow.build import output_of
from dagrow.flop_counter import product
from dagrow.graph import Dag
from dagrow.methods import ChildSamples, SiteSamples
from dagrow.spec.graph import EdgeId
from dagrow.statistics.activation_cache import ActivationCache, CachedBatch
from dagrow.statistics.gram import with_constant
from dagrow.statistics.indexed_batches import gathered, joined, rows
from dagrow.statistics.node import NodeMoments, movable, solve_update, units_of, weighted_edges
from dagrow.statistics.node_tail import activation, reader, writer
from dagrow.statistics.site import SiteLayout

MOST_SAMPLES = 1024
"""Drawn for one site where a new neuron reads few features."""

PER_FEATURE = 8
"""Drawn for each feature that a new neuron reads, positions shared: of fewer, a search makes neurons that fit noise."""

MOST_VALUES = 2**20, 2**23
"""Values of the widest matrix of one site: up to so many for `MOST_SAMPLES`, and in any case at most."""

TRIED = 16
"""New neurons that a method looks at together, about: each is as many columns at a child as it has weights there."""


TOGETHER = 128
"""Samples of a batch of drawn ones."""


@dataclass
class Draws:
    """The drawn samples of some sites, when they are asked for.

    All sites share one pass over the data when the first is asked for, unless this process has all data in the cache.
    Which samples are drawn depends on their positions in the data alone. Held-out samples never are.

    Args:
        snapshots: of the network, with the desired updates of every child.
        layouts: the sites.
        goal: ``v_goal`` itself is wanted as well.
    """

    snapshots: ActivationCache
    layouts: Sequence[SiteLayout]
    goal: bool = False
    _found: dict[str, SiteSamples] = field(default_factory=dict)

    def of(self, layout: SiteLayout) -> Callable[[], SiteSamples]:
        """Draws, or has drawn, the samples of a site."""

        def samples() -> SiteSamples:
            if layout.key not in self._found:
                alone = self.snapshots.stream.processes.count == 1 and self.snapshots.cached() is not None
                self._draw([layout] if alone else self.layouts)
            return self._found[layout.key]

        return samples

    def _draw(self, layouts: Sequence[SiteLayout]) -> None:
        processes = self.snapshots.stream.processes
        fit = sum(processes.numbers(sum(int((~batch.held).sum()) for batch in self.snapshots.batches())))
        shares = {layout.key: _size(self.snapshots.dag, layout) / max(1, fit) for layout in layouts}
        look = self._as_they_came if self.snapshots.network.training else self._by_themselves
        for layout, snapshots in look(layouts, shares):
            self._found[layout.key] = self._samples(layout, snapshots)

    def _as_they_came(
        self, layouts: Sequence[SiteLayout], shares: dict[str, float]
    ) -> Iterator[tuple[SiteLayout, list[_Rows]]]:
        """In train mode samples see the others of their batch."""
        found: dict[str, list[_Rows]] = {key: [] for key in shares}
        for snapshot in self.snapshots.passing(goals=True):
            for layout in layouts:
                chosen = (
                    (~snapshot.batch.held & (snapshot.batch.sample_uniform < shares[layout.key])).nonzero().squeeze(1)
                )
                # Of the first batch even none: a process may have nothing else to say.
                if chosen.numel() or not found[layout.key]:
                    found[layout.key].append(self._rows(snapshot, layout, chosen))
        processes = self.snapshots.stream.processes
        for layout in layouts:
            whole = _Rows.joined(found[layout.key])
            yield layout, [_Rows(*(tuple(map(processes.gather, part)) for part in whole))]

    def _by_themselves(
        self, layouts: Sequence[SiteLayout], shares: dict[str, float]
    ) -> Iterator[tuple[SiteLayout, list[_Rows]]]:
        """In eval mode they do not: they are run again, in batches that are the same however the data are cut."""
        processes, most = self.snapshots.stream.processes, max(shares.values())
        parts: list[tuple[tuple[Tensor, ...], Any, Tensor]] = []
        for batch in self.snapshots.batches():
            chosen = (~batch.held & (batch.sample_uniform < most)).nonzero().squeeze(1)
            if chosen.numel() or not parts:
                parts.append(
                    (tuple(x[chosen] for x in batch.inputs), rows(batch.target, chosen), batch.sample_uniform[chosen])
                )
        inputs, target, sample_uniform = gathered(joined(parts), processes)
        for layout in layouts:
            own = (sample_uniform < shares[layout.key]).nonzero().squeeze(1)
            found = []
            for index in torch.split(own, TOGETHER) if len(own) else ():
                snapshot = self.snapshots.look(tuple(x[index] for x in inputs), rows(target, index))
                found.append(self._rows(snapshot, layout, slice(None)))
            yield layout, found

    @torch.no_grad()
    def _samples(self, layout: SiteLayout, parts: list[_Rows]) -> SiteSamples:
        dag = self.snapshots.dag
        (B,), goals, known, existing = _Rows.joined(parts)
        children = []
        for reading, v_goal, all_, lasting in zip(layout.site.readings, goals, known, existing, strict=True):
            child = reading.edge.target
            slot = layout.dag.slots(child)[reading.edge]
            update = _update(dag, child, all_, v_goal, self.snapshots.frozen)
            v = v_goal[..., slot] - product(all_, update[slot].T.to(all_))
            units = units_of(dag, lasting_edges(dag, layout.dag, child)).to(v.device)
            children.append(
                ChildSamples(v, lasting, reader(layout, reading), v_goal[..., slot] if self.goal else None, units)
            )
        activate, there = activation(layout.dag, layout.site.node), writer(self.snapshots.network, layout)
        return SiteSamples(B, tuple(children), activate, there)

    @torch.no_grad()
    def _rows(self, snapshot: CachedBatch, layout: SiteLayout, chosen: Tensor | slice) -> _Rows:
        like = next(iter(snapshot.goals.values()))
        B = torch.cat(_features(layout.dag, layout.site.node, snapshot, chosen, like), dim=2)
        goals, known, existing = [], [], []
        for reading in layout.site.readings:
            dag, child = self.snapshots.dag, reading.edge.target
            goals.append(dag.merged(child).to_positions(snapshot.goals[child][chosen]))
            edges = lasting_edges(dag, layout.dag, child)
            known.append(torch.cat(_features(dag, child, snapshot, chosen, goals[-1]), dim=2))
            lasting = _features(dag, child, snapshot, chosen, goals[-1], layout.dag)
            existing.append(torch.cat(movable(dag, edges, lasting, self.snapshots.frozen), dim=2))
        return _Rows((B if layout.has_bias else B[..., :-1],), tuple(goals), tuple(known), tuple(existing))


class _Rows(NamedTuple):
    """What some samples have to say at one site.

    Attributes:
        B: ``[n, P, F]`` of it, alone in a tuple.
        goals: per child, its whole desired update ``[n, Q, any]``.
        known: per child, the features that it reads as things are, with a constant.
        existing: per child, those that it goes on to read; 0 where their weights, or the bias, cannot move.
    """

    B: tuple[Tensor, ...]
    goals: tuple[Tensor, ...]
    known: tuple[Tensor, ...]
    existing: tuple[Tensor, ...]

    @staticmethod
    def joined(parts: Sequence[_Rows]) -> _Rows:
        """Of several batches of samples."""
        columns = zip(*parts, strict=True)
        return _Rows(*(tuple(torch.cat(each) for each in zip(*column, strict=True)) for column in columns))


def _update(dag: Dag, node: str, features: Tensor, v_goal: Tensor, frozen: frozenset[str]) -> Tensor:
    """The best update of a node on some samples, ``[M, R]``."""
    flat, v = features.flatten(0, 1).double(), v_goal.flatten(0, 1).double()
    moments = NodeMoments(flat.T @ flat / len(features), flat.T @ v / len(features), 0.0, features.dtype)
    return solve_update(dag, node, moments, frozen=frozen)


def lasting_edges(dag: Dag, after: Dag, node: str) -> tuple[EdgeId, ...]:
    """The edges with weights into a node that are there before and after a change of the graph."""
    return tuple(edge for edge in weighted_edges(dag, node) if edge in after.spec.edges)


def _features(
    dag: Dag, node: str, snapshot: CachedBatch, chosen: Tensor | slice, like: Tensor, after: Dag | None = None
) -> list[Tensor]:
    edges = lasting_edges(dag, after or dag, node)
    outputs = [output_of(snapshot.values, dag, edge.source, chosen) for edge in edges]
    blocks = with_constant([dag.op(e).features(x) for e, x in zip(edges, outputs, strict=True)], like)
    n, positions = blocks[0].shape[:2]
    return [block.expand(n, positions, -1) for block in blocks]


def _size(dag: Dag, layout: SiteLayout) -> int:
    """How many samples to draw."""
    here = math.prod(layout.dag.merged(layout.site.node)) // layout.dag.size(layout.site.node)
    widths = [here * layout.feature_count]
    for reading in layout.site.readings:
        child = reading.edge.target
        positions = math.prod(dag.merged(child)) // dag.size(child)
        known = sum(dag.op(e).feature_count(dag.output(e.source)) for e in weighted_edges(dag, child))
        widths.append(positions * (known + TRIED * layout.fan_out(reading)))
    plenty, most = (values // max(widths) for values in MOST_VALUES)
    needed = PER_FEATURE * layout.feature_count // here
    return max(32, min(MOST_SAMPLES, plenty), min(needed, most))
