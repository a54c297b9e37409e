"""A bounded random subset of the samples at a site, for methods to which moments do not say enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from dagrow.build import output_of
from dagrow.graph import Dag
from dagrow.methods import ChildSamples, SiteSamples
from dagrow.spec.graph import EdgeId
from dagrow.statistics.node import weighted_edges, without_update
from dagrow.statistics.passing import activation, reader, writer
from dagrow.statistics.products import with_constant
from dagrow.statistics.site import SiteLayout
from dagrow.statistics.snapshots import Snapshot, Snapshots

MOST_SAMPLES = 1024
"""Drawn for one site where a new neuron reads few features."""

PER_FEATURE = 8
"""Drawn for each feature that a new neuron reads, positions shared: of fewer, a search makes neurons that fit noise."""

MOST_VALUES = 2**20, 2**23
"""Values of the widest matrix of one site: up to so many for `MOST_SAMPLES`, and in any case at most."""

TRIED = 16
"""New neurons that a method looks at together, about: each is as many columns at a child as it has weights there."""


@dataclass
class Draws:
    """The drawn samples of some sites, when they are asked for.

    All sites share one pass over the data when the first is asked for, unless this process has all data in the cache.
    Which samples are drawn depends on their positions in the data alone. Held-out samples never are.

    Args:
        snapshots: of the network, with the desired updates of every child.
        layouts: the sites.
        updates: per child, the best update that v_proj leaves out.
        goal: ``v_goal`` itself is wanted as well.
    """

    snapshots: Snapshots
    layouts: Sequence[SiteLayout]
    updates: dict[str, Tensor]
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

    @torch.no_grad()
    def _draw(self, layouts: Sequence[SiteLayout]) -> None:
        processes = self.snapshots.stream.processes
        fit = sum(processes.numbers(sum(int((~snapshot.batch.held).sum()) for snapshot in self.snapshots.passing())))
        shares = {layout.key: _size(self.snapshots.dag, layout) / max(1, fit) for layout in layouts}
        parts: dict[str, list[tuple[Tensor, list[tuple[Tensor, ...]]]]] = {key: [] for key in shares}
        for snapshot in self.snapshots.passing(goals=True):
            for layout in layouts:
                chosen = (~snapshot.batch.held & (snapshot.batch.lots < shares[layout.key])).nonzero().squeeze(1)
                # Of the first batch even none: a process may have nothing else to say.
                if chosen.numel() or not parts[layout.key]:
                    parts[layout.key].append(self._rows(snapshot, layout, chosen))
        for layout in layouts:
            found = parts[layout.key]
            children = []
            for i, reading in enumerate(layout.site.readings):
                count = len(found[0][1][i])
                v, existing, *goal = (
                    processes.gather(torch.cat([row[1][i][j] for row in found])) for j in range(count)
                )
                children.append(ChildSamples(v, existing, reader(layout, reading), *goal))
            B = processes.gather(torch.cat([row[0] for row in found]))
            activate, there = activation(layout.dag, layout.site.node), writer(self.snapshots.network, layout)
            self._found[layout.key] = SiteSamples(B, tuple(children), activate, there)

    def _rows(self, snapshot: Snapshot, layout: SiteLayout, chosen: Tensor) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """Features of the site, and per child v_proj, the features that it reads and, if asked, v_goal."""
        like = next(iter(snapshot.goals.values()))
        B = torch.cat(_features(layout.dag, layout.site.node, snapshot, chosen, like), dim=2)
        children: list[tuple[Tensor, ...]] = []
        for reading in layout.site.readings:
            dag, child = self.snapshots.dag, reading.edge.target
            goal = snapshot.goals[child][chosen]
            outputs = partial(output_of, snapshot.values, dag, rows=chosen)
            v = without_update(dag, child, self.updates[child], goal, outputs)
            slot, merged = layout.dag.slots(child)[reading.edge], dag.merged(child)
            v = merged.to_positions(v)[..., slot]
            existing = torch.cat(_features(dag, child, snapshot, chosen, v, layout.dag), dim=2)
            if not any(dag.op(edge).has_bias for edge in lasting_edges(dag, layout.dag, child)):
                existing[..., -1] = 0
            children.append((v, existing, merged.to_positions(goal)[..., slot]) if self.goal else (v, existing))
        return B if layout.has_bias else B[..., :-1], children


def lasting_edges(dag: Dag, after: Dag, node: str) -> tuple[EdgeId, ...]:
    """The edges with weights into a node that are there before and after a change of the graph."""
    return tuple(edge for edge in weighted_edges(dag, node) if edge in after.spec.edges)


def _features(
    dag: Dag, node: str, snapshot: Snapshot, chosen: Tensor, like: Tensor, after: Dag | None = None
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
