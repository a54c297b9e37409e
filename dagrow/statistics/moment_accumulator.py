"""The sums of one look at the data, batch by batch, and the moments that they make."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.graph import Consumer, Dag, cost
from dagrow.methods import SiteMoments, SiteSamples
from dagrow.statistics.activation_cache import CachedBatch
from dagrow.statistics.feature_chunks import FeatureChunk, Place, portions, positions_at, widest
from dagrow.statistics.gram import add_gram, dot, symmetric
from dagrow.statistics.node import (
    NodeMoments,
    has_short_moments,
    short_moments,
    weighted_edges,
    without_update,
)
from dagrow.statistics.site import SiteLayout
from dagrow.statistics.sums import Sums


@dataclass(frozen=True)
class UpdateTarget:
    """A node whose best update is wanted, perhaps with edges into it that are not there yet.

    Attributes:
        node: its name.
        dag: the graph with these edges; None for the network's own.
        name: tells the target from others; the node's if left out.
    """

    node: str
    dag: Dag | None = None
    name: str = ""

    @property
    def key(self) -> str:
        """By which its moments are found."""
        return self.name or self.node


class MomentAccumulator:
    """What is added up batch by batch, for a fixed set of nodes and sites, and what it makes in the end."""

    def __init__(
        self,
        dag: Dag,
        layouts: Sequence[SiteLayout],
        targets: tuple[UpdateTarget, ...],
        noise: bool,
        precision: torch.dtype | None,
        frozen: Container[str] = (),
    ) -> None:
        self.frozen = frozen
        self.dag, self.layouts, self.targets = dag, layouts, targets
        self.nodes = tuple(dict.fromkeys(target.node for target in targets))
        self.plain = frozenset(target.key for target in targets if target.dag is None)
        self.noise, self.precision = noise, precision
        self.wanted = tuple((target.dag or dag, target.node) for target in targets)
        self.grown = tuple((layout.dag, layout.site.node) for layout in layouts)

    def portions(
        self, snapshot: CachedBatch, sums: Sums, read: Sequence[Place], featured: Sequence[Place] | None = None
    ) -> Iterator[FeatureChunk]:
        """The samples of a batch that are not held out, a few at a time; `sums` is told how many.

        Args:
            snapshot: of the batch.
            sums: what they will be added to.
            read: graphs and nodes whose parents' outputs are wanted.
            featured: those of them whose features will be made; all if left out.
        """
        self._dtype = self.precision or next(iter(snapshot.goals.values())).dtype
        sums.count(int((~snapshot.batch.held).sum()))
        width = widest(read if featured is None else featured, self.layouts)
        yield from portions(snapshot, self.nodes, read, width, self._dtype)

    def two_passes_are_cheaper(self, cached: bool) -> bool:
        """Multiply-adds per sample of the cross moments, against those of a second look.

        Args:
            cached: the second look needs no other forward and backward pass.
        """
        one, two = 0, 0 if cached else 3 * cost(self.dag).multiply_adds
        for layout in self.layouts:
            for reading in layout.site.readings:
                child = reading.edge.target
                per_position = layout.feature_count * layout.fan_out(reading) * positions_at(self.dag, child)
                widths = (
                    self.dag.op(e).feature_count(self.dag.output(e.source)) for e in weighted_edges(self.dag, child)
                )
                one += per_position * (sum(widths) + 1)
                two += per_position * layout.outputs(reading)
        return one > two

    def first_pass(self, snapshot: CachedBatch, sums: Sums, goal: bool, cross: bool) -> None:
        """Adds S, N and, if asked, the moments of ``v_goal`` at the sites and the cross moments of one batch."""
        featured = [place for place in self.wanted if cross or not has_short_moments(*place)]
        for part in self.portions(snapshot, sums, (*self.wanted, *self.grown), (*featured, *self.grown)):
            sums.add("signed", part.signs[0].abs().sum())
            for target, (dag, node) in zip(self.targets, self.wanted, strict=True):
                key = target.key
                if has_short_moments(dag, node):
                    S, N = short_moments(dag, node, part.outputs, part.goals[node])
                    sums.add(f"S {key}", S)
                else:
                    blocks = part.features(dag, node)
                    add_gram(_square(sums, f"S {key}", blocks), blocks)
                    N = dot(blocks, dag.merged(node).to_positions(part.goals[node]))
                sums.add(f"N {key}", N)
                sums.add(f"v {key}", part.goals[node].square().sum())
                sums.add(f"a {key}", part.merged_squares[node])
            for layout in self.layouts:
                here, blocks = layout.key, part.features(layout.dag, layout.site.node)
                if layout.plain_factor is None:
                    sums.add(f"mean {here}", torch.cat([block.sum((0, 1)) for block in blocks]))
                if not self._shares_metric(layout):
                    layout.add_metric(_square(sums, f"metric {here}", blocks), blocks)
                for reading in layout.site.readings if goal else ():
                    self._add_moments("goal", layout, reading, blocks, part, sums)
                for reading in layout.site.readings if cross else ():
                    child = part.features(self.dag, reading.edge.target)
                    parts = [layout.moments(reading, blocks, b, part.ones) for b in child]
                    sums.add(f"cross {_name(layout, reading)}", torch.cat(parts, dim=3)[0])

    def _shares_metric(self, layout: SiteLayout) -> bool:
        """Whether the S of a site is that of the same node's best update, up to a factor."""
        return layout.plain_factor is not None and layout.dag is self.dag and layout.site.node in self.plain

    def second_pass(self, snapshot: CachedBatch, residual: Sums, updates: dict[str, Tensor]) -> None:
        """Adds the moments of ``v_goal`` and ``v_proj`` of one batch."""
        children = [(self.dag, node) for node in updates]
        for part in self.portions(snapshot, residual, (*self.grown, *children), self.grown):
            projected = {
                node: without_update(self.dag, node, dW, part.goals[node], part.outputs.__getitem__, self.frozen)
                for node, dW in updates.items()
            }
            for layout in self.layouts:
                blocks = part.features(layout.dag, layout.site.node)
                for reading in layout.site.readings:
                    self._add_moments("proj", layout, reading, blocks, part.with_goals(projected), residual)

    def _add_moments(
        self,
        kind: str,
        layout: SiteLayout,
        reading: Consumer,
        blocks: list[Tensor],
        part: FeatureChunk,
        sums: Sums,
    ) -> None:
        """``B^T v`` plainly and with random signs."""
        child = reading.edge.target
        v = layout.dag.merged(child).to_positions(part.goals[child])[..., layout.dag.slots(child)[reading.edge]]
        sums.add(f"{kind} {_name(layout, reading)}", layout.moments(reading, blocks, v, part.ones)[0])
        if self.noise:
            few = [block if part.noisy is None else block[part.noisy] for block in (*blocks, v)]
            sums.add(f"noise {_name(layout, reading)}", layout.moments(reading, few[:-1], few[-1], part.signs))

    def residual_from_cross(self, sums: Sums, moments: dict[str, NodeMoments], updates: dict[str, Tensor]) -> Sums:
        """What the second pass would find, from the cross moments of the first."""
        residual = Sums(samples=sums.samples)
        for layout in self.layouts:
            for reading in layout.site.readings:
                name, child = _name(layout, reading), reading.edge.target
                dW = updates[child][layout.dag.slots(child)[reading.edge]]
                taken = torch.einsum("fkc,mc->fkm", sums.total(f"cross {name}"), dW)
                residual.add(f"proj {name}", sums.total(f"goal {name}") - taken)
                if not self.noise:
                    continue
                # The signs were drawn on v_goal; v_proj is shorter by what dW* explains.
                total = moments[child].v_goal_squared
                share = max(0.0, 1.0 - explained(moments[child], updates[child]) / total) if total > 0 else 0.0
                residual.add(f"noise {name}", sums.total(f"noise {name}") * share**0.5)
        return residual

    def node_moments(self, key: str, sums: Sums) -> NodeMoments:
        """The means at one target."""
        S, N = symmetric(sums.mean(f"S {key}")), sums.mean(f"N {key}")
        return NodeMoments(S, N, float(sums.mean(f"v {key}")), self._dtype, float(sums.mean(f"a {key}")))

    def site_moments(
        self,
        layout: SiteLayout,
        sums: Sums,
        residual: Sums,
        left: Mapping[str, float],
        samples: Callable[[], SiteSamples],
    ) -> SiteMoments:
        """The means at one site, children side by side; without the constant where no edge carries a bias."""
        here, factor = layout.key, layout.plain_factor
        own = f"metric {here}" in sums
        S = symmetric(sums.mean(f"metric {here}") if own else (factor or 1.0) * sums.mean(f"S {here}"))
        # Signs were drawn for some samples only: as many as there are would give a smaller mean.
        signed = (sums.samples / max(1.0, float(sums.total("signed")))) ** 0.5

        def stacked(source: Sums, kind: str) -> Tensor:
            names = [f"{kind} {_name(layout, reading)}" for reading in layout.site.readings]
            return torch.cat([source.mean(name).flatten(-2) for name in names], dim=-1)

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
            N_noise=signed * stacked(residual, "noise")[:, used] if self.noise else torch.zeros_like(N_proj),
            N_goal=stacked(sums, "goal")[used] if goal else None,
            mean=mean[used],
            v_goal_squared=sum(float(sums.mean(f"v {child}")) for child in children),
            v_proj_squared=sum(max(0.0, left[child]) for child in children),
            a_squared=sum(float(sums.mean(f"a {child}")) for child in children),
            precision=self._dtype,
            samples=samples,
            has_constant=layout.has_bias,
            units=layout.units[used].to(S.device),
        )


def explained(moments: NodeMoments, dW: Tensor) -> float:
    """How much of ``E||v_goal||^2`` the best update takes off: ``tr(dW^T N)``, since it solves the normal equations."""
    return float((dW.T * moments.N).sum())


def _square(sums: Sums, name: str, blocks: Sequence[Tensor]) -> Tensor:
    width = sum(block.shape[2] for block in blocks)
    return sums.buffer(name, (width, width), blocks[0])


def _name(layout: SiteLayout, reading: Consumer) -> str:
    return f"{layout.key} | {reading.edge}"
