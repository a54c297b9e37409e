"""The samples of a batch, a few at a time: outputs, desired updates, and features made when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from dagrow.build import merged, output_of
from dagrow.graph import Dag
from dagrow.statistics.activation_cache import CachedBatch
from dagrow.statistics.node import node_features, weighted_edges
from dagrow.statistics.site import SiteLayout

_CHUNK_BYTES = 32 * 2**20
"""Features are made for so many bytes of samples at a time, to bound the memory."""

Place = tuple[Dag, str]
"""A graph and a node of it."""


@dataclass(frozen=True)
class FeatureChunk:
    """Some samples of a batch.

    Attributes:
        outputs: by node.
        goals: desired updates by node.
        ones: ``[1, n]``.
        signs: ``[draws, noisy]``, random signs of the samples that the noise level is taken from.
        noisy: which of the samples these are; None for all.
        merged_squares: by node, the sum of squares of what it merges.
    """

    outputs: dict[str, Tensor]
    goals: dict[str, Tensor]
    ones: Tensor
    signs: Tensor
    noisy: Tensor | None
    merged_squares: dict[str, Tensor] = field(default_factory=dict)
    _blocks: dict[Any, list[Tensor]] = field(default_factory=dict)

    def features(self, dag: Dag, node: str) -> list[Tensor]:
        """The features of all edges into a node, made once for all that read the same."""
        key = tuple((edge.source, dag.op(edge)) for edge in weighted_edges(dag, node)) or node
        if key not in self._blocks:
            like = next(iter(self.outputs.values())) if key != node else dag.merged(node).to_positions(self.goals[node])
            self._blocks[key] = node_features(dag, node, self.outputs, like)
        return self._blocks[key]

    def with_goals(self, goals: dict[str, Tensor]) -> FeatureChunk:
        """The same samples with other desired updates."""
        return replace(self, goals=goals)


def portions(
    snapshot: CachedBatch, nodes: Sequence[str], read: Sequence[Place], width: int, dtype: torch.dtype
) -> Iterator[FeatureChunk]:
    """The samples of a batch that are not held out.

    Args:
        snapshot: of the batch.
        nodes: whose desired updates are wanted.
        read: whose parents' outputs are wanted.
        width: values of the widest matrix of one sample.
        dtype: of the products.
    """
    batch = snapshot.batch
    fit = ~batch.held
    count = int(fit.sum())
    sources = {e.source: dag for dag, node in read for e in weighted_edges(dag, node)}
    index = None if count == batch.size else fit.nonzero().squeeze(1)
    step = max(1, _CHUNK_BYTES // (width * dtype.itemsize))
    for start in range(0, count, step):
        rows = slice(start, start + step) if index is None else index[start : start + step]
        signs = batch.signs[rows].to(dtype)
        noisy = (signs[:, 0] != 0).nonzero().squeeze(1)
        if not len(noisy):
            # One that counts 0: every process has sums of the same names.
            noisy = noisy.new_zeros(1)
        yield FeatureChunk(
            {u: output_of(snapshot.values, dag, u, rows).to(dtype) for u, dag in sources.items()},
            {node: snapshot.goals[node][rows].to(dtype) for node in nodes},
            signs.new_ones(1, len(signs)),
            signs[noisy].T.contiguous(),
            None if len(noisy) == len(signs) else noisy,
            {node: snapshot.values[merged(node)][rows].square().sum(dtype=torch.float64) for node in nodes},
        )


def widest(featured: Sequence[Place], layouts: Sequence[SiteLayout]) -> int:
    """Values of the widest matrix that one sample takes: features, or goals carried back."""
    widths = [
        dag.op(e).feature_count(dag.output(e.source)) * positions_at(dag, node)
        for dag, node in featured
        for e in weighted_edges(dag, node)
    ]
    for layout in layouts:
        for reading in layout.site.readings:
            carried = layout.fan_out(reading) * layout.outputs(reading)
            widths.append(carried * positions_at(layout.dag, layout.site.node))
    return max(widths, default=1)


def positions_at(dag: Dag, node: str) -> int:
    """Positions of what a node merges."""
    return math.prod(dag.merged(node)) // dag.size(node)
