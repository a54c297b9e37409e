"""Statistics of a place where neurons can be added: what they could read, against what they could write.

A new neuron's map is ``alpha . B`` at each position of the growing node. Pools on the way to a child are
taken as averages (they are what is linear in the map), so ``B`` is averaged instead: its *image*. The child
then reads the image as it would read the new channel (thesis C.2.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dagrow.build.edge_weight import EdgeWeight, EdgeWeights
from dagrow.graph import Consumer, Dag, GrowableNode
from dagrow.spec.graph import EdgeId
from dagrow.statistics.gram import add_gram
from dagrow.statistics.node import edge_widths, units_of


@dataclass(frozen=True)
class SiteLayout:
    """Where the matrices of a site come from, and where their columns go.

    Attributes:
        dag: the graph, with the node in it.
        site: the place.
        pointwise: fan-out of convolutions only at the centre of the kernel.
        name: tells the place from others; that of the node if left out.
    """

    dag: Dag
    site: GrowableNode
    pointwise: bool
    name: str = ""

    @property
    def key(self) -> str:
        """By which the statistics of the place are found."""
        return self.name or self.site.node

    @cached_property
    def widths(self) -> dict[EdgeId, int]:
        """Features per incoming edge, the rows of S and N; one for the constant follows."""
        return edge_widths(self.dag, self.site.node)

    @property
    def feature_count(self) -> int:
        """Rows of N, the constant included."""
        return sum(self.widths.values()) + 1

    @cached_property
    def units(self) -> Tensor:
        """``[F]``, which features share a unit, the constant last."""
        return units_of(self.dag, tuple(self.widths))

    @property
    def has_bias(self) -> bool:
        """Whether a new neuron can use the constant."""
        return any(self.dag.op(edge).has_bias for edge in self.widths)

    def pooled(self, reading: Consumer) -> tuple[str, ...]:
        """The nodes on the way to a child that pool, this one first; it tells one image from another."""
        names = (self.site.node, *reading.through)
        return tuple(name for name in names if self.dag.node(name).pool is not None)

    def outputs(self, reading: Consumer) -> int:
        """Child features that the reading edge writes."""
        slot = self.dag.slots(reading.edge.target)[reading.edge]
        return int(slot.stop - slot.start)

    def fan_out(self, reading: Consumer) -> int:
        """Weights per (new neuron, child feature)."""
        if reading.flattened:
            return self._image_positions(reading)
        op, source = self.dag.op(reading.edge), self.dag.output(reading.edge.source)
        return op.fan_out_layout(source, self.pointwise).fan_out

    @cached_property
    def columns(self) -> dict[EdgeId, slice]:
        """Columns of N that belong to each reading edge, ``fan_out`` major."""
        found: dict[EdgeId, slice] = {}
        start = 0
        for reading in self.site.readings:
            width = self.fan_out(reading) * self.outputs(reading)
            found[reading.edge] = slice(start, start + width)
            start += width
        return found

    def position_weights(self, reading: Consumer) -> Tensor:
        """How much each position of the image counts in S: r times how often it is read (Lemma C.2.3)."""
        fan_out = self.fan_out(reading)
        r = min(fan_out, self.feature_count)
        if reading.flattened:
            return torch.full((fan_out,), float(r))
        op, source = self.dag.op(reading.edge), self.dag.output(reading.edge.source)
        return r * op.fan_out_layout(source, self.pointwise).counts

    @cached_property
    def images(self) -> dict[tuple[str, ...], Tensor]:
        """The distinct images and their position weights: the largest over the children that read each.

        The largest keeps the bound of the thesis for all children at once; with equal weights (linear) it
        is an equality.
        """
        found: dict[tuple[str, ...], Tensor] = {}
        for reading in self.site.readings:
            weights, key = self.position_weights(reading), self.pooled(reading)
            found[key] = torch.maximum(found[key], weights) if key in found else weights
        return found

    @cached_property
    def plain_factor(self) -> float | None:
        """The c in ``S = c E[B^T B]``, when every position counts alike and nothing pools; else None."""
        if list(self.images) != [()]:
            return None
        weights = self.images[()]
        same = bool((weights == weights[0]).all())
        return float(weights[0]) if same else None

    def _image_positions(self, reading: Consumer) -> int:
        """Positions of the new channel when it is flattened."""
        dag = self.dag
        for name in (self.site.node, *reading.through):
            if dag.node(name).flatten and dag.merged(name).positions:
                return dag.pooled(name).position_count
        return 1

    def image(self, blocks: Sequence[Tensor], key: tuple[str, ...]) -> list[Tensor]:
        """Takes blocks of features through the pools of ``key``: ``[n, positions, F_e]`` each."""
        return [self._through(block, key) for block in blocks]

    def _through(self, block: Tensor, key: tuple[str, ...]) -> Tensor:
        for name in key:
            pool = self.dag.node(name).pool
            if pool is not None:
                shape = self.dag.merged(name)
                averages = pool.averaged(shape.from_positions(block), shape)
                block = pool.output_shape(shape).to_positions(averages)
        return block

    def add_metric(self, total: Tensor, blocks: Sequence[Tensor]) -> None:
        """Adds ``sum of w B^T B`` over all images, the site's S, to the upper triangle of ``total [F, F]``."""
        for key, weights in self.images.items():
            w = weights.to(blocks[0].device, blocks[0].dtype)
            add_gram(total, self.image(blocks, key), None if bool((w == 1).all()) else w)

    def moments(self, reading: Consumer, blocks: Sequence[Tensor], v: Tensor, weights: Tensor) -> Tensor:
        """``sum of B^T v`` as one child sees it, under several weightings of the samples.

        Args:
            reading: the child.
            blocks: features ``[n, positions, F_e]``.
            v: ``[n, child positions, M]``: desired updates, or features of the child for a cross moment.
            weights: ``[W, n]``.

        Returns:
            ``[W, F, fan_out, M]``.
        """
        op, source = self.dag.op(reading.edge), self.dag.output(reading.edge.source)
        parts = []
        for block in self.image(blocks, self.pooled(reading)):
            if reading.flattened and block.shape[1] > 1:
                parts.append(torch.einsum("wn,nqf,nm->wfqm", weights, block, v.squeeze(1)))
            else:
                parts.append(op.fan_out_moment(block, v, source, self.pointwise, weights))
        return torch.cat(parts, dim=1)

    def split_fan_in(self, alpha: Tensor, dtype: torch.dtype) -> EdgeWeights:
        """Cuts ``alpha [F, K]`` into the weight rows and bias entries of each incoming edge.

        Edges that carry a bias share the constant's weight.
        """
        carriers = sum(self.dag.op(edge).has_bias for edge in self.widths)
        parts: EdgeWeights = {}
        start = 0
        for edge, width in self.widths.items():
            op = self.dag.op(edge)
            rows = alpha[start : start + width].T.to(dtype)
            bias = (alpha[-1] / carriers).to(dtype) if op.has_bias else None
            parts[edge] = EdgeWeight(op.rows_to_weight(rows, self.dag.output(edge.source)), bias)
            start += width
        return parts

    def split_fan_out(self, omega: Tensor, dtype: torch.dtype) -> dict[EdgeId, Tensor]:
        """Cuts ``omega [K, M]`` into the weight by which each reading edge reads the new features."""
        parts: dict[EdgeId, Tensor] = {}
        for reading in self.site.readings:
            columns = omega[:, self.columns[reading.edge]].to(dtype)
            block = torch.unflatten(columns, 1, (self.fan_out(reading), self.outputs(reading)))
            if reading.flattened and block.shape[1] > 1:
                # A flattened channel is one input feature per position, channel major.
                parts[reading.edge] = block.permute(2, 0, 1).flatten(1)
            else:
                parts[reading.edge] = self.dag.op(reading.edge).fan_out_weight(block, self.pointwise)
        return parts
