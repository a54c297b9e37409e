"""Wider queries and keys in closed form: what a score of attention wants, beyond what the weights there can do of it.

One more dimension of a head adds ``(a . x_t)(b . y_s)`` to the score of query t and key s, x and y being what queries
and keys are made of, each with a constant. With G the gradient by the scores, its first order is ``a^T N b`` for
``N = -sum x_t G_ts y_s^T``. Whitened on both sides it is ``A = S_x^(-1/2) N S_y^(-1/2)``; updates of the weights there
can do ``Wq^T C + D Wk``, so that the attention bottleneck is ``(I - P_q) A (I - P_k)`` with the projections onto the
whitened rows of Wq and Wk, and its singular vectors are a and b. Query heads that share a key head share b.

Nothing of the size tokens times tokens is kept: zero columns are appended to the queries, whose keys are y, and their
gradient is ``G y``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, fx, nn

from dagrow.capture import named_tensors
from dagrow.methods import CONSTANT, InsertionMode, Metric, SearchedAmplitude
from dagrow.module_growth.entries import Entries
from dagrow.module_growth.linear_map import LinearMap
from dagrow.module_growth.readers import existing_rows
from dagrow.module_growth.score_flow import ScoreFlow
from dagrow.resize import Widened


@dataclass(frozen=True)
class ScoreMoments:
    """Sums over samples, float64.

    Attributes:
        N: ``[heads, F, F']``.
        S_q: ``[F, F]`` of what queries are made of.
        S_k: ``[F', F']`` of what keys are made of.
        queries: the layer that writes them, and the entry of each head.
        keys: likewise, per query head.
        samples: how many.
    """

    N: Tensor
    S_q: Tensor
    S_k: Tensor
    queries: tuple[LinearMap, Tensor]
    keys: tuple[LinearMap, Tensor]
    samples: int = 0

    def added(self, other: ScoreMoments) -> ScoreMoments:
        """With more samples."""
        return replace(
            self, N=self.N + other.N, S_q=self.S_q + other.S_q, S_k=self.S_k + other.S_k,
            samples=self.samples + other.samples,
        )  # fmt: skip


def score_moments(
    flow: ScoreFlow, tensors: Mapping[str, Tensor], values: Mapping[fx.Node, Any], goal: Tensor, samples: int
) -> ScoreMoments:
    """The sums over some samples.

    Args:
        flow: of the space.
        tensors: of the module.
        values: of the nodes that are wanted.
        goal: desired update of `ScoreFlow.node`, of every sample.
        samples: how many.
    """
    queries, keys = flow.sides(tensors, values)
    shared = queries.image.shape[1] // keys.image.shape[1]
    N = flow.moment(queries, keys, values, goal).double()
    entries = keys.entries.repeat_interleave(shared)
    return ScoreMoments(
        N, queries.second_moment(), keys.second_moment(), (queries.writer, queries.entries), (keys.writer, entries),
        samples,
    )  # fmt: skip


@dataclass(frozen=True)
class ScoreChannels:
    """``K`` new dimensions of the queries and keys of all heads.

    Attributes:
        flow: their way.
        writers: the layers that write queries and keys.
        queries: ``[P, K, F]`` rows of the layer that writes queries, its constant last; of entries of keys, 0.
        keys: ``[P', K, F']`` likewise.
        scores: ``[K]`` singular values, of all heads together.
        slope: ``-dL/dg`` at amplitude 0.
    """

    flow: ScoreFlow
    writers: tuple[LinearMap, LinearMap]
    queries: Tensor
    keys: Tensor
    scores: Tensor
    slope: float

    mode: ClassVar[InsertionMode] = SearchedAmplitude()
    reason: ClassVar[str] = "the queries and keys that are there can do all that is wanted of scores"

    @property
    def alternatives(self) -> tuple[ScoreChannels, ...]:
        """These alone."""
        return (self,)

    @property
    def count(self) -> int:
        """K."""
        return self.queries.shape[1]

    def scaled(self, fan_in: float, fan_out: float) -> ScoreChannels:
        """The same with both sides multiplied: queries, keys."""
        return replace(self, queries=self.queries * fan_in, keys=self.keys * fan_out)

    def at(self, amplitude: float) -> ScoreChannels:
        """At an amplitude: the root of it on both sides."""
        return self.scaled(amplitude**0.5, amplitude**0.5)

    @property
    def silent(self) -> ScoreChannels:
        """With keys of 0."""
        return self.scaled(1.0, 0.0)

    @torch.no_grad()
    def put(self, model: nn.Module, widened: Widened) -> None:
        """Gives the new entries of a widened module their values. What was there stays.

        Args:
            model: that was widened.
            widened: by what.
        """
        tensors, entries = dict(named_tensors(model)), Entries(widened, self.flow.space.name)
        size = self.flow.space.size
        # Where the code divides by the root of the size, that has grown.
        root = ((size + widened.start.count) / size) ** 0.5 if widened.start.rescaled else 1.0
        rows: dict[LinearMap, Tensor] = {}
        for writer, own in zip(self.writers, (self.queries * root, self.keys), strict=True):
            rows[writer] = rows[writer] + own if writer in rows else own
        for writer, own in rows.items():
            weight, bias = tensors[writer.name], writer.bias
            flat = self.flow.rows[writer].arranged(own).to(weight)
            if bias is not None:
                entries.set(bias, tensors[bias], 0, flat[:, -1])
                flat = flat[:, :-1]
            entries.set(writer.name, weight, writer.out_axis, writer.weight(flat, entries.old(writer.name)))


def draft_scores(
    flow: ScoreFlow,
    found: ScoreMoments,
    tensors: Mapping[str, Tensor],
    count: int | None,
    shrinkage: float,
    pad: bool = False,
) -> ScoreChannels:
    """The dimensions that reduce the attention bottleneck most.

    Args:
        flow: of the space.
        found: over the samples.
        tensors: of the module.
        count: K at most; None for all that there are.
        shrinkage: of both metrics.
        pad: with dimensions whose keys are 0 where there are fewer.
    """
    (queries, q_entries), (keys, k_entries) = found.queries, found.keys
    N = found.N / found.samples
    q_metric, k_metric = (
        _metric(S / found.samples, shrinkage, writer, tensors)
        for S, writer in ((found.S_q, queries), (found.S_k, keys))
    )
    count = min(N.shape[1:]) if count is None else count
    q_rows, k_rows = (existing_rows(flow, writer, tensors) for writer in (queries, keys))
    a = N.new_zeros(len(q_rows), count, N.shape[1])
    b = N.new_zeros(len(k_rows), count, N.shape[2])
    squares = N.new_zeros(count)
    for entry in sorted(set(k_entries.tolist())):
        heads = (k_entries == entry).nonzero().squeeze(1).tolist()
        A = torch.cat([k_metric.whiten(q_metric.whiten(N[head]).T).T for head in heads])
        done = torch.cat([_whitened(q_metric, q_rows[q_entries[head]]) for head in heads])
        A = _without(_without(A, done).T, _whitened(k_metric, k_rows[entry])).T
        U, values, Vh = torch.linalg.svd(A, full_matrices=False)
        kept = min(count, int((values > 1e3 * torch.finfo(values.dtype).eps * float(A.norm().clamp(min=1e-300))).sum()))
        roots = values[:kept].sqrt()
        for head, part in zip(heads, (U[:, :kept] * roots).split(q_metric.rank), strict=True):
            a[q_entries[head], :kept] = q_metric.unwhiten(part).T
        b[entry, :kept] = k_metric.unwhiten(Vh[:kept].T * roots).T
        squares[:kept] += values[:kept].square()
    kept = count if pad else int((squares > 0).sum())
    a, b = a[:, :kept], b[:, :kept]
    # Entries with fewer directions get others that nothing meets yet, or they would never train.
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(a.shape, generator=generator, dtype=torch.float64).to(a) * a.square().mean().sqrt()
    for q, k in zip(q_entries.tolist(), k_entries.tolist(), strict=True):
        a[q] = torch.where((b[k] == 0).all(1, keepdim=True), drawn[q], a[q])
    made = ScoreChannels(flow, (queries, keys), a, b, squares[:kept].sqrt(), 0.0)
    return replace(made, slope=first_order_of_scores(found, made)[0])


def first_order_of_scores(found: ScoreMoments, channels: ScoreChannels) -> tuple[float, float]:
    """The slope ``-dL/dg`` of new dimensions at amplitude 0, and the square of their size by both metrics.

    Args:
        found: over the samples.
        channels: the dimensions.
    """
    slope = square = 0.0
    for head, (q, k) in enumerate(zip(found.queries[1].tolist(), found.keys[1].tolist(), strict=True)):
        a, b = channels.queries[q], channels.keys[k]
        slope += float(((a @ found.N[head]) * b).sum()) / found.samples
        sizes = ((a @ found.S_q) * a).sum(1) * ((b @ found.S_k) * b).sum(1)
        square += float(sizes.sum()) / found.samples**2
    return slope, square


def _metric(S: Tensor, shrinkage: float, writer: LinearMap, tensors: Mapping[str, Tensor]) -> Metric:
    units = torch.zeros(len(S), dtype=torch.long, device=S.device)
    if writer.bias is not None:
        units[-1] = CONSTANT
    return Metric(S, shrinkage, tensors[writer.name].dtype, units)


def _whitened(metric: Metric, weights: Tensor) -> Tensor:
    """``[rank, d]`` rows of weights ``[d, F]`` on the whitened features."""
    back = metric.unwhiten(torch.eye(metric.rank, dtype=weights.dtype, device=weights.device))
    found: Tensor = torch.linalg.pinv(back) @ weights.T
    return found


def _without(A: Tensor, columns: Tensor) -> Tensor:
    """A matrix less its projection onto the span of some columns."""
    Q, values, _ = torch.linalg.svd(columns, full_matrices=False)
    Q = Q[:, values > 1e-10 * values.amax().clamp(min=1e-300)]
    found: Tensor = A - Q @ (Q.T @ A)
    return found
