"""One pass over the data for all statistics; a second where that is cheaper (convolutions).

What the existing weights of a child could do is taken off its desired update: ``v_proj = v_goal - dW* B``.
In one pass that needs the cross moment ``E[B_in^T B_child]``; in two, dW* is known before the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.build import Network, Value, merged, output, probe
from dagrow.errors import GrowthError
from dagrow.graph import Dag, Reading, Site, cost
from dagrow.methods import SiteMoments
from dagrow.ops import to_positions
from dagrow.statistics.node import (
    NodeMoments,
    node_features,
    solve_update,
    weighted_edges,
)
from dagrow.statistics.products import dot, gram
from dagrow.statistics.site import SiteLayout
from dagrow.statistics.stream import Batch, LossFunction, Stream, rows
from dagrow.statistics.sums import Sums

_CHUNK_BYTES = 16 * 2**20
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


def collect(
    network: Network,
    loss: LossFunction,
    stream: Stream,
    *,
    nodes: Sequence[str] = (),
    sites: Sequence[Site] = (),
    pointwise: bool = False,
    precision: torch.dtype | None = None,
) -> Statistics:
    """Statistics over the samples of the stream that are not held out.

    Args:
        network: in the mode, train or eval, in which it is to be looked at; not changed.
        loss: mean loss of a batch.
        stream: the samples.
        nodes: nodes whose best update is wanted.
        sites: places whose new neurons are wanted.
        pointwise: fan-out of convolutions only at the kernel's centre.
        precision: dtype of the products; the network's if left out. Sums are float64 in any case.

    Returns:
        Means over samples; sums over positions within each.
    """
    task = _Task(network, network.dag, loss, [SiteLayout(network.dag, s, pointwise) for s in sites], nodes, precision)
    two_passes = task.two_passes_are_cheaper()
    sums = Sums()
    for batch in stream:
        task.first_pass(batch, sums, cross=not two_passes)
    node_moments = {node: task.node_moments(node, sums) for node in task.nodes}
    updates = {
        node: solve_update(task.dag, node, node_moments[node])
        for node in dict.fromkeys(r.edge.target for layout in task.layouts for r in layout.site.readings)
    }
    if two_passes:
        residual = Sums()
        for batch in stream:
            task.second_pass(batch, residual, updates)
    else:
        residual = task.residual_from_cross(sums, node_moments, updates)
    moments = {layout.site.node: task.site_moments(layout, sums, residual) for layout in task.layouts}
    layouts = {layout.site.node: layout for layout in task.layouts}
    return Statistics(node_moments, moments, layouts, sums.samples)


class _Task:
    """The work on one batch, for a fixed set of nodes and sites."""

    def __init__(
        self,
        network: Network,
        dag: Dag,
        loss: LossFunction,
        layouts: Sequence[SiteLayout],
        nodes: Sequence[str],
        precision: torch.dtype | None,
    ) -> None:
        self.dag, self.loss, self.layouts = dag, loss, layouts
        children = [reading.edge.target for layout in layouts for reading in layout.site.readings]
        self.nodes = tuple(dict.fromkeys((*nodes, *children)))
        self.precision = precision
        featured = dict.fromkeys((*self.nodes, *(layout.site.node for layout in layouts)))
        self.featured = tuple(featured)
        sources = dict.fromkeys(e.source for node in featured for e in weighted_edges(dag, node))
        self.sources = tuple(sources)
        wanted: list[Value] = [merged(node) for node in self.nodes] + [output(u) for u in self.sources]
        self.probe = probe(network, dag, wanted)

    def two_passes_are_cheaper(self) -> bool:
        """Multiply-adds per sample of the cross moments, against another forward and backward pass."""
        one, two = 0, 3 * cost(self.dag).multiply_adds
        for layout in self.layouts:
            for reading in layout.site.readings:
                child = reading.edge.target
                positions = self._child_positions(child)
                per_position = layout.feature_count * layout.fan_out(reading) * positions
                widths = sum(self.dag.op(e).feature_count(self.dag.output(e.source)) for e in weighted_edges(self.dag, child))
                one += per_position * (widths + 1)
                two += per_position * layout.outputs(reading)
        return one > two

    def _child_positions(self, child: str) -> int:
        shape = self.dag.merged(child)
        total = 1
        for extent in shape:
            total *= extent
        return total // self.dag.size(child)

    def first_pass(self, batch: Batch, sums: Sums, cross: bool) -> None:
        """Adds S, N and, if asked, the cross moments of one batch."""
        for v, blocks, signs in self._chunks(batch, sums):
            for node in self.nodes:
                sums.add(f"S {node}", gram(blocks[node]))
                sums.add(f"N {node}", dot(blocks[node], v[node]))
                sums.add(f"v {node}", v[node].square().sum())
            for layout in self.layouts:
                here = layout.site.node
                sums.add(f"mean {here}", torch.cat([block.sum((0, 1)) for block in blocks[here]]))
                if layout.plain_factor is None or here not in self.nodes:
                    sums.add(f"metric {here}", layout.metric_sum(blocks[here]))
                for reading in layout.site.readings:
                    name = _name(layout, reading)
                    child = v[reading.edge.target][..., self.dag.slots(reading.edge.target)[reading.edge]]
                    if not cross:
                        sums.add(f"goal {name}", layout.moment(reading, blocks[here], child))
                        continue
                    width = child.shape[2]
                    both = torch.cat([child, child * signs], dim=2)
                    moment = layout.moment(reading, blocks[here], both)
                    sums.add(f"goal {name}", moment[..., :width])
                    sums.add(f"noise {name}", moment[..., width:])
                    parts = [layout.moment(reading, blocks[here], b) for b in blocks[reading.edge.target]]
                    sums.add(f"cross {name}", torch.cat(parts, dim=2))

    def second_pass(self, batch: Batch, residual: Sums, updates: dict[str, Tensor]) -> None:
        """Adds the moments of ``v_proj`` of one batch."""
        for v, blocks, signs in self._chunks(batch, residual):
            for node, dW in updates.items():
                edges = list(zip(blocks[node], _cut(dW.to(v[node].dtype), blocks[node]), strict=True))
                v[node] = v[node] - sum(block @ part.T for block, part in edges)
            for layout in self.layouts:
                here = layout.site.node
                for reading in layout.site.readings:
                    child = v[reading.edge.target][..., self.dag.slots(reading.edge.target)[reading.edge]]
                    width = child.shape[2]
                    both = torch.cat([child, child * signs], dim=2)
                    moment = layout.moment(reading, blocks[here], both)
                    residual.add(f"proj {_name(layout, reading)}", moment[..., :width])
                    residual.add(f"noise {_name(layout, reading)}", moment[..., width:])

    def residual_from_cross(
        self, sums: Sums, moments: dict[str, NodeMoments], updates: dict[str, Tensor]
    ) -> Sums:
        """What the second pass would find, from the cross moments of the first."""
        residual = Sums(samples=sums.samples)
        for layout in self.layouts:
            for reading in layout.site.readings:
                name, child = _name(layout, reading), reading.edge.target
                dW = updates[child][self.dag.slots(child)[reading.edge]]
                taken = torch.einsum("fkc,mc->fkm", sums.values[f"cross {name}"], dW)
                residual.add(f"proj {name}", sums.values[f"goal {name}"] - taken)
                # The signs were drawn on v_goal; v_proj is shorter by what dW* explains.
                explained = float((updates[child].T * moments[child].N).sum())
                total = moments[child].v_goal_squared
                share = max(0.0, 1.0 - explained / total) if total > 0 else 0.0
                residual.add(f"noise {name}", sums.values[f"noise {name}"] * share**0.5)
        return residual

    def node_moments(self, node: str, sums: Sums) -> NodeMoments:
        """The means at one node."""
        return NodeMoments(
            sums.mean(f"S {node}"), sums.mean(f"N {node}"), float(sums.mean(f"v {node}")), self._dtype()
        )

    def site_moments(self, layout: SiteLayout, sums: Sums, residual: Sums) -> SiteMoments:
        """The means at one site, children side by side; without the constant where no edge carries a bias."""
        here, factor = layout.site.node, layout.plain_factor
        own = f"metric {here}" in sums
        S = sums.mean(f"metric {here}") if own else (factor or 1.0) * sums.mean(f"S {here}")

        def stacked(source: Sums, kind: str) -> Tensor:
            parts = [source.mean(f"{kind} {_name(layout, r)}").flatten(1) for r in layout.site.readings]
            return torch.cat(parts, dim=1)

        positions = sums.values[f"mean {here}"][-1]
        mean = sums.values[f"mean {here}"] / positions
        used = slice(None) if layout.has_bias else slice(0, -1)
        return SiteMoments(
            S=S[used, used],
            N_goal=stacked(sums, "goal")[used],
            N_proj=stacked(residual, "proj")[used],
            N_noise=stacked(residual, "noise")[used],
            mean=mean[used],
            precision=self._dtype(),
        )

    def _dtype(self) -> torch.dtype:
        return self.precision or self._seen_dtype

    def _chunks(
        self, batch: Batch, sums: Sums
    ) -> Iterator[tuple[dict[str, Tensor], dict[str, list[Tensor]], Tensor]]:
        """Forward and backward on a batch; then, a few samples at a time, desired updates and features."""
        fit = ~batch.held
        count = int(fit.sum())
        if count == 0:
            return
        goals, outputs = self._differentiate(batch, fit, count)
        sums.count(count)
        signs = batch.signs[fit] if count < batch.size else batch.signs
        step = max(1, _CHUNK_BYTES // self._bytes_per_sample(outputs))
        for start in range(0, count, step):
            part = slice(start, start + step)
            values = {u: x[part] for u, x in outputs.items()}
            blocks = {node: node_features(self.dag, node, values) for node in self.featured}
            v = {node: to_positions(g[part]) for node, g in goals.items()}
            yield v, blocks, signs[part].to(next(iter(outputs.values())).dtype).view(-1, 1, 1)

    def _differentiate(
        self, batch: Batch, fit: Tensor, count: int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """``v_goal`` of each node (the gradient of the loss summed over samples) and outputs, fit samples only."""
        with torch.enable_grad():
            inputs = [x.detach().requires_grad_() if x.is_floating_point() else x for x in batch.inputs]
            results = self.probe(*inputs)
            outs, values = results[: len(self.dag.spec.outputs)], results[len(self.dag.spec.outputs) :]
            whole = count == batch.size
            outs = outs if whole else rows(outs, fit)
            target = batch.target if whole else rows(batch.target, fit)
            mean = self.loss(outs[0] if len(outs) == 1 else outs, target)
            check_loss(mean)
            pre, post = values[: len(self.nodes)], values[len(self.nodes) :]
            gradients = torch.autograd.grad(mean * count, pre, allow_unused=True) if pre else ()
        dtype = self.precision or post[0].dtype
        self._seen_dtype = dtype

        def fitted(x: Tensor) -> Tensor:
            return (x.detach() if whole else x.detach()[fit]).to(dtype)

        goals = {
            node: -fitted(torch.zeros_like(a) if g is None else g)
            for node, a, g in zip(self.nodes, pre, gradients, strict=True)
        }
        return goals, {u: fitted(x) for u, x in zip(self.sources, post, strict=True)}

    def _bytes_per_sample(self, outputs: dict[str, Tensor]) -> int:
        size = next(iter(outputs.values())).element_size()
        total = 0
        for node in self.featured:
            for edge in weighted_edges(self.dag, node):
                positions = self._child_positions(node)
                total += self.dag.op(edge).feature_count(self.dag.output(edge.source)) * positions * size
        return max(1, total)


def check_loss(loss: Tensor) -> None:
    """Refuses a loss that is no number: nothing can be measured against it.

    Raises:
        GrowthError: if it is not a finite scalar.
    """
    if loss.dim() != 0:
        raise GrowthError(f"the loss must be one number per batch, its mean; it has shape {list(loss.shape)}")
    if not bool(torch.isfinite(loss)):
        raise GrowthError(f"the loss of the network as it stands is {float(loss)}; nothing can be gained against that")


def _name(layout: SiteLayout, reading: Reading) -> str:
    return f"{layout.site.node} | {reading.edge}"


def _cut(dW: Tensor, blocks: Sequence[Tensor]) -> Sequence[Tensor]:
    return dW.split([block.shape[2] for block in blocks], dim=1)
