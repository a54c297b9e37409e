"""One look at the data for all statistics; the residual from cross moments, or from a second pass.

What the existing weights of a child could do is taken off its desired update: ``v_proj = v_goal - dW* B``.
In one pass that needs the cross moment ``E[B_in^T B_child]``; in two, dW* is known before the second. For
convolutions the second pass is cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.build import output
from dagrow.graph import Dag, Reading, Site, cost
from dagrow.methods import SiteMoments
from dagrow.ops import channel_axis, to_positions
from dagrow.statistics.node import (
    NodeMoments,
    node_features,
    solve_update,
    split_update,
    weighted_edges,
)
from dagrow.statistics.products import add_gram, dot, symmetric
from dagrow.statistics.site import SiteLayout
from dagrow.statistics.snapshots import Snapshot, Snapshots
from dagrow.statistics.sums import Sums

_CHUNK_BYTES = 8 * 2**20
"""Features are made for so many bytes of samples at a time, to stay in the cache and bound the memory."""


@dataclass(frozen=True)
class Statistics:
    """What one look at the data says.

    Attributes:
        nodes: moments per node asked for, and of every child of a site.
        sites: moments per site, ready for a method.
        layouts: how the matrices of each site map to edges.
        samples: how many samples they are over.
    """

    nodes: dict[str, NodeMoments]
    sites: dict[str, SiteMoments]
    layouts: dict[str, SiteLayout]
    samples: int


def watched(nodes: Sequence[str], sites: Sequence[Site]) -> tuple[str, ...]:
    """The nodes whose desired updates `collect` needs: those asked for, and every child of a site."""
    children = [reading.edge.target for site in sites for reading in site.readings]
    return tuple(dict.fromkeys((*nodes, *children)))


def collect(
    snapshots: Snapshots,
    *,
    nodes: Sequence[str] = (),
    sites: Sequence[Site] = (),
    pointwise: bool = False,
    goal: bool = False,
    noise: bool = True,
    precision: torch.dtype | None = None,
) -> Statistics:
    """Statistics over the samples that are not held out.

    Args:
        snapshots: of the network, with the desired updates of all `watched` nodes.
        nodes: nodes whose best update is wanted.
        sites: places whose new neurons are wanted.
        pointwise: fan-out of convolutions only at the kernel's centre.
        goal: the moment of ``v_goal`` itself is wanted as well.
        noise: the noise level is wanted; without it, it is 0.
        precision: dtype of the products; that of the values if left out. Sums are float64 in any case.

    Returns:
        Means over samples; sums over positions within each.
    """
    if not nodes and not sites:
        return Statistics({}, {}, {}, 0)
    layouts = [SiteLayout(snapshots.dag, site, pointwise) for site in sites]
    task = _Task(snapshots.dag, layouts, watched(nodes, sites), noise, precision)
    two_passes = task.two_passes_are_cheaper(snapshots.will_fit())
    sums = Sums()
    for snapshot in snapshots.passing(goals=True):
        task.first_pass(snapshot, sums, goal=goal or not two_passes, cross=not two_passes)
    node_moments = {node: task.node_moments(node, sums) for node in task.nodes}
    updates = {node: solve_update(task.dag, node, node_moments[node]) for node in watched((), sites)}
    if two_passes:
        residual = Sums()
        for snapshot in snapshots.passing(goals=True):
            task.second_pass(snapshot, residual, updates)
    else:
        residual = task.residual_from_cross(sums, node_moments, updates)
    moments = {layout.site.node: task.site_moments(layout, sums, residual) for layout in layouts}
    by_site = {layout.site.node: layout for layout in layouts}
    return Statistics(node_moments, moments, by_site, sums.samples)


class _Task:
    """The work on one batch, for a fixed set of nodes and sites."""

    def __init__(
        self,
        dag: Dag,
        layouts: Sequence[SiteLayout],
        nodes: Sequence[str],
        noise: bool,
        precision: torch.dtype | None,
    ) -> None:
        self.dag, self.layouts, self.nodes = dag, layouts, tuple(nodes)
        self.grown = tuple(layout.site.node for layout in layouts)
        self.noise, self.precision = noise, precision

    def two_passes_are_cheaper(self, cached: bool) -> bool:
        """Multiply-adds per sample of the cross moments, against those of a second look.

        Args:
            cached: the second look needs no other forward and backward pass.
        """
        one, two = 0, 0 if cached else 3 * cost(self.dag).multiply_adds
        for layout in self.layouts:
            for reading in layout.site.readings:
                child = reading.edge.target
                per_position = layout.feature_count * layout.fan_out(reading) * self._positions(child)
                widths = (
                    self.dag.op(e).feature_count(self.dag.output(e.source)) for e in weighted_edges(self.dag, child)
                )
                one += per_position * (sum(widths) + 1)
                two += per_position * layout.outputs(reading)
        return one > two

    def first_pass(self, snapshot: Snapshot, sums: Sums, goal: bool, cross: bool) -> None:
        """Adds S, N and, if asked, the moments of ``v_goal`` at the sites and the cross moments of one batch."""
        featured = tuple(dict.fromkeys((*self.nodes, *self.grown)))
        for part in self._portions(snapshot, sums, featured):
            sums.add("signed", part.weights[1].abs().sum())
            blocks = {node: node_features(self.dag, node, part.outputs) for node in featured}
            for node in self.nodes:
                add_gram(_square(sums, f"S {node}", blocks[node]), blocks[node])
                sums.add(f"N {node}", dot(blocks[node], to_positions(part.goals[node])))
                sums.add(f"v {node}", part.goals[node].square().sum())
            for layout in self.layouts:
                here = layout.site.node
                if layout.plain_factor is None:
                    sums.add(f"mean {here}", torch.cat([block.sum((0, 1)) for block in blocks[here]]))
                if layout.plain_factor is None or here not in self.nodes:
                    layout.add_metric(_square(sums, f"metric {here}", blocks[here]), blocks[here])
                for reading in layout.site.readings if goal else ():
                    self._add_moments("goal", layout, reading, blocks[here], part, sums)
                for reading in layout.site.readings if cross else ():
                    child = reading.edge.target
                    parts = [layout.moments(reading, blocks[here], b, part.weights[:1]) for b in blocks[child]]
                    sums.add(f"cross {_name(layout, reading)}", torch.cat(parts, dim=3)[0])

    def second_pass(self, snapshot: Snapshot, residual: Sums, updates: dict[str, Tensor]) -> None:
        """Adds the moments of ``v_goal`` and ``v_proj`` of one batch."""
        for part in self._portions(snapshot, residual, (*self.grown, *updates), self.grown):
            blocks = {node: node_features(self.dag, node, part.outputs) for node in self.grown}
            projected = {node: self._without_update(node, dW, part) for node, dW in updates.items()}
            for layout in self.layouts:
                for reading in layout.site.readings:
                    here = blocks[layout.site.node]
                    self._add_moments("proj", layout, reading, here, part.with_goals(projected), residual)

    def _add_moments(
        self,
        kind: str,
        layout: SiteLayout,
        reading: Reading,
        blocks: list[Tensor],
        part: _Portion,
        sums: Sums,
    ) -> None:
        """``B^T v`` plainly and with random signs."""
        child = reading.edge.target
        v = to_positions(part.goals[child])[..., self.dag.slots(child)[reading.edge]]
        weights = part.weights if self.noise else part.weights[:1]
        plain, *signed = layout.moments(reading, blocks, v, weights)
        sums.add(f"{kind} {_name(layout, reading)}", plain)
        if signed:
            sums.add(f"noise {_name(layout, reading)}", signed[0])

    def _without_update(self, node: str, dW: Tensor, part: _Portion) -> Tensor:
        """``v_goal - dW* B``, the update run as the edges themselves would."""
        v = part.goals[node].clone()
        axis = channel_axis(v)
        for edge, (weight, bias) in split_update(self.dag, node, dW, v.dtype).items():
            slot = self.dag.slots(node)[edge]
            done = self.dag.op(edge).run(part.outputs[edge.source], weight, bias)
            v.narrow(axis, slot.start, slot.stop - slot.start).sub_(done)
        return v

    def residual_from_cross(self, sums: Sums, moments: dict[str, NodeMoments], updates: dict[str, Tensor]) -> Sums:
        """What the second pass would find, from the cross moments of the first."""
        residual = Sums(samples=sums.samples)
        for layout in self.layouts:
            for reading in layout.site.readings:
                name, child = _name(layout, reading), reading.edge.target
                dW = updates[child][self.dag.slots(child)[reading.edge]]
                taken = torch.einsum("fkc,mc->fkm", sums.total(f"cross {name}"), dW)
                residual.add(f"proj {name}", sums.total(f"goal {name}") - taken)
                if not self.noise:
                    continue
                # The signs were drawn on v_goal; v_proj is shorter by what dW* explains.
                explained = float((updates[child].T * moments[child].N).sum())
                total = moments[child].v_goal_squared
                share = max(0.0, 1.0 - explained / total) if total > 0 else 0.0
                residual.add(f"noise {name}", sums.total(f"noise {name}") * share**0.5)
        return residual

    def node_moments(self, node: str, sums: Sums) -> NodeMoments:
        """The means at one node."""
        return NodeMoments(
            symmetric(sums.mean(f"S {node}")), sums.mean(f"N {node}"), float(sums.mean(f"v {node}")), self._dtype
        )

    def site_moments(self, layout: SiteLayout, sums: Sums, residual: Sums) -> SiteMoments:
        """The means at one site, children side by side; without the constant where no edge carries a bias."""
        here, factor = layout.site.node, layout.plain_factor
        own = f"metric {here}" in sums
        S = symmetric(sums.mean(f"metric {here}") if own else (factor or 1.0) * sums.mean(f"S {here}"))
        # Signs were drawn for some samples only: as many as there are would give a smaller mean.
        signed = (sums.samples / max(1.0, float(sums.total("signed")))) ** 0.5

        def stacked(source: Sums, kind: str) -> Tensor:
            names = [f"{kind} {_name(layout, reading)}" for reading in layout.site.readings]
            return torch.cat([source.mean(name).flatten(1) for name in names], dim=1)

        # The constant's row of a plain metric holds the sums of the features.
        total = S[-1] if factor is not None else sums.total(f"mean {here}")
        mean = total / total[-1]
        used = slice(None) if layout.has_bias else slice(0, -1)
        children = dict.fromkeys(reading.edge.target for reading in layout.site.readings)
        goal = all(f"goal {_name(layout, reading)}" in sums for reading in layout.site.readings)
        N_proj = stacked(residual, "proj")[used]
        return SiteMoments(
            S=S[used, used],
            N_proj=N_proj,
            N_noise=signed * stacked(residual, "noise")[used] if self.noise else torch.zeros_like(N_proj),
            N_goal=stacked(sums, "goal")[used] if goal else None,
            mean=mean[used],
            v_goal_squared=sum(float(sums.mean(f"v {child}")) for child in children),
            precision=self._dtype,
        )

    def _portions(
        self, snapshot: Snapshot, sums: Sums, read: Sequence[str], featured: Sequence[str] | None = None
    ) -> Iterator[_Portion]:
        """The samples of a batch that are not held out, a few at a time.

        Args:
            snapshot: of the batch.
            sums: told how many samples come.
            read: nodes whose parents' outputs are wanted.
            featured: those of them whose features will be made; all if left out.
        """
        batch = snapshot.batch
        fit = ~batch.held
        count = int(fit.sum())
        if count == 0:
            return
        sums.count(count)
        sources = dict.fromkeys(e.source for node in read for e in weighted_edges(self.dag, node))
        example = next(iter(snapshot.goals.values()))
        self._dtype = dtype = self.precision or example.dtype
        weights = torch.stack([torch.ones_like(batch.signs), batch.signs]).to(dtype)
        index = None if count == batch.size else fit.nonzero().squeeze(1)
        step = max(
            1,
            _CHUNK_BYTES // (self._feature_bytes(read if featured is None else featured) * dtype.itemsize // 4),
        )
        for start in range(0, count, step):
            rows = slice(start, start + step) if index is None else index[start : start + step]
            yield _Portion(
                {u: snapshot.values[output(u)][rows].to(dtype) for u in sources},
                {node: snapshot.goals[node][rows].to(dtype) for node in self.nodes},
                weights[:, rows],
            )

    def _feature_bytes(self, featured: Sequence[str]) -> int:
        """Bytes that the widest matrix of one sample takes in float32: features, or goals carried back."""
        widths = [
            4 * self.dag.op(e).feature_count(self.dag.output(e.source)) * self._positions(node)
            for node in featured
            for e in weighted_edges(self.dag, node)
        ]
        for layout in self.layouts:
            for reading in layout.site.readings:
                carried = layout.fan_out(reading) * layout.outputs(reading)
                widths.append(4 * carried * self._positions(layout.site.node))
        return max(widths, default=4)

    def _positions(self, node: str) -> int:
        return math.prod(self.dag.merged(node)) // self.dag.size(node)


@dataclass(frozen=True)
class _Portion:
    """Some samples of a batch: outputs by node, desired updates by node, ``weights [2, n]`` (ones and signs)."""

    outputs: dict[str, Tensor]
    goals: dict[str, Tensor]
    weights: Tensor

    def with_goals(self, goals: dict[str, Tensor]) -> _Portion:
        """The same samples with other desired updates."""
        return _Portion(self.outputs, goals, self.weights)


def _square(sums: Sums, name: str, blocks: Sequence[Tensor]) -> Tensor:
    width = sum(block.shape[2] for block in blocks)
    return sums.buffer(name, (width, width), blocks[0])


def _name(layout: SiteLayout, reading: Reading) -> str:
    return f"{layout.site.node} | {reading.edge}"
