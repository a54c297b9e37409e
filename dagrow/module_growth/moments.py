"""Two passes over the samples: what readers could still do by themselves, and what new channels could do beyond that.

``v_goal = -dl/da`` at the output of each layer that reads a space, ``v_proj`` what its own weights cannot do of it.
Several writers and readers are one problem: features of all writers side by side, columns of all readers; where a
writer does not reach a reader, the block is 0 (a stream, or a concatenation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from dagrow.capture import CapturedModule, named_tensors
from dagrow.methods import CONSTANT, SiteMoments
from dagrow.module_growth.batches import Part
from dagrow.module_growth.flow import Flow, Reader, image_at, image_rows, position_weights
from dagrow.module_growth.passage import NoLinearPath
from dagrow.module_growth.readers import ReaderMoments, add_reader, features_of, left_over, update_of
from dagrow.module_growth.score_flow import ScoreFlow
from dagrow.module_growth.scores import ScoreMoments, score_moments
from dagrow.module_growth.shared_flow import SharedFlow, ways_of
from dagrow.module_growth.two_looks import LossFunction, TwoLooks, look_at


@dataclass
class _Sums:
    """Sums over samples, float64."""

    S: Tensor
    N_proj: Tensor
    N_goal: Tensor
    mean: Tensor
    v_goal: float = 0.0
    v_proj: float = 0.0
    weight: float = 0.0


@dataclass(frozen=True)
class HeadEntries:
    """What the entries of a new head, or group, are.

    Attributes:
        values: ``[places]`` which entry is read at each place.
        queries: ``[P]`` booleans, those of queries.
        widths: of each layer that reads, how many columns.
    """

    values: Tensor
    queries: Tensor
    widths: list[int]


@dataclass
class Collected:
    """What two passes found.

    Attributes:
        loss: mean over the samples that were fitted to.
        samples: how many.
        moments: per space; of several entries per channel (one per head), those of each.
        scales: per space, what ``alpha^T S alpha`` is divided by for a mean square at one position.
        score_moments: per space of queries and keys.
        heads: per space of heads or groups.
        reasons: per space without moments, why.
    """

    loss: float
    samples: int
    moments: dict[str, tuple[SiteMoments, ...]] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)
    score_moments: dict[str, ScoreMoments] = field(default_factory=dict)
    heads: dict[str, HeadEntries] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def collect(
    captured: CapturedModule,
    flows: Mapping[str, Flow | ScoreFlow | SharedFlow],
    loss: LossFunction,
    parts: Sequence[Part],
    shrinkage: float = 0.0,
    fitted: bool = True,
) -> Collected:
    """Looks at the samples twice; once, where readers are not to be fitted.

    Args:
        captured: the module; parameters are read, nothing is changed.
        flows: of the spaces of interest.
        loss: ``(output, target) -> scalar``, the mean over the batch.
        parts: the samples.
        shrinkage: of the metric by which readers are fitted.
        fitted: whether they are; else ``v_proj`` is ``v_goal``.
    """
    samples = sum(part.count for part in parts)
    tensors = {name: tensor.detach() for name, tensor in named_tensors(captured.model)}
    plain = {name: way for name, flow in flows.items() for way in ways_of(flow) if isinstance(way, Flow)}
    scores = {name: way for name, flow in flows.items() for way in ways_of(flow) if isinstance(way, ScoreFlow)}
    ways: list[Flow | ScoreFlow] = [*plain.values(), *scores.values()]
    readers = {reader.map.node.name: reader.map for flow in plain.values() for reader in flow.readers}
    first: dict[str, ReaderMoments] = {}
    looks = TwoLooks(lambda part: look_at(captured, ways, readers, loss, part))
    for part in parts if fitted and readers else ():
        _, values, goals = looks.first(part)
        for name, map_ in readers.items():
            add_reader(first, name, map_, tensors[map_.name], values[map_.x], goals[map_.node])
    updates = {name: update_of(found, samples, shrinkage, readers[name], tensors) for name, found in first.items()}
    collected = Collected(0.0, samples)
    sums: dict[str, tuple[_Sums, ...]] = {}
    entries: dict[str, HeadEntries] = {}
    for part in parts:
        value, values, goals = looks.last(part)
        collected.loss += value * part.count / samples
        projected = {
            map_.node: left_over(map_, tensors[map_.name], values[map_.x], goals[map_.node], updates.get(name))
            for name, map_ in readers.items()
        }
        for name, flow in plain.items():
            with _reasons(collected, name):
                if name not in sums:
                    sums[name] = tuple(_nothing(flow, tensors) for _ in range(flow.copies))
                if any(flow.rows[writer].count > 1 for writer in flow.writers) and name not in entries:
                    entries[name] = _entries(flow, tensors, values)
                _add_space(sums[name], flow, entries.get(name), tensors, values, goals, projected)
        for name, score_flow in scores.items():
            with _reasons(collected, name):
                own = score_moments(score_flow, tensors, values, goals[score_flow.node], part.count)
                if name in collected.score_moments:
                    own = own.added(collected.score_moments[name])
                collected.score_moments[name] = own
    for name, found in sums.items():
        if plain[name].space.label == "heads" or plain[name].grouped:
            collected.heads |= {name: entries[name]} if name in entries else {}
        if name not in collected.reasons:
            precision = next(captured.model.parameters()).dtype
            collected.moments[name] = tuple(_moments(own, samples, plain[name], tensors, precision) for own in found)
            collected.scales[name] = found[0].weight / samples
    return collected


@contextmanager
def _reasons(collected: Collected, name: str) -> Iterator[None]:
    """Notes why a space has no moments."""
    try:
        yield
    except NoLinearPath as error:
        collected.reasons[name] = str(error)


def _nothing(flow: Flow, tensors: Mapping[str, Tensor]) -> _Sums:
    features = sum(flow.feature_counts(tensors)) + sum(writer.bias is not None for writer in flow.writers)
    width = sum(_width(reader, tensors) for reader in flow.readers)
    like = torch.empty(0, dtype=torch.float64, device=tensors[flow.writers[0].name].device)
    return _Sums(
        like.new_zeros(features, features), like.new_zeros(features, width), like.new_zeros(features, width),
        like.new_zeros(features),
    )  # fmt: skip


def _add_space(
    sums: Sequence[_Sums],
    flow: Flow,
    entries: HeadEntries | None,
    tensors: Mapping[str, Tensor],
    values: Mapping[fx.Node, Any],
    goals: Mapping[fx.Node, Tensor],
    projected: Mapping[fx.Node, Tensor],
) -> None:
    """Adds some samples; of new heads and groups, all whose entries see the same, those at the first place alone."""
    biased = [writer.bias is not None for writer in flow.writers]
    slots = _slots(flow.feature_counts(tensors), biased)
    images: dict[fx.Node, list[tuple[Tensor, Tensor]]] = {}
    for writer, slot in zip(flow.writers, slots, strict=True):
        start = features_of(writer, tensors[writer.name], values[writer.x])
        reached = flow.run(writer, flow.start(writer, start), values)
        for node in {reader.map.x for reader in flow.readers} & set(reached):
            images.setdefault(node, []).append((slot, reached[node]))
    if entries is None:
        _add(sums[0], flow, images, tensors, goals, projected)
        return
    read, readers = entries.values, {reader.map.x: reader for reader in flow.readers}
    for number, found in enumerate(sums):
        at = read == (number if len(sums) > 1 else read[0])
        own = {node: [(s, image_at(readers[node], image, at)) for s, image in images[node]] for node in images}
        _add(found, flow, own, tensors, goals, projected, int(at.sum()))


def _entries(flow: Flow, tensors: Mapping[str, Tensor], values: Mapping[fx.Node, Any]) -> HeadEntries:
    """What stands at each place, the same for all samples."""
    writer = flow.writers[-1]
    start = features_of(writer, tensors[writer.name], values[writer.x])
    widths = [_width(reader, tensors) for reader in flow.readers]
    read = flow.entries_read(values, start)
    # Only new heads and groups can come to queries.
    heads = flow.space.label == "heads" or flow.grouped
    queries = flow.queries_of(values, start) if heads else torch.zeros_like(read, dtype=torch.bool)
    return HeadEntries(read, queries, widths)


def _add(
    found: _Sums,
    flow: Flow,
    images: Mapping[fx.Node, Sequence[tuple[Tensor, Tensor]]],
    tensors: Mapping[str, Tensor],
    goals: Mapping[fx.Node, Tensor],
    projected: Mapping[fx.Node, Tensor],
    places: int | None = None,
) -> None:
    column = 0
    for reader in flow.readers:
        block = slice(column, column + _width(reader, tensors))
        column = block.stop
        for slot, image in images.get(reader.map.x, ()):
            node = reader.map.node
            crosses = _cross(reader, image, tensors[reader.map.name], (goals[node], projected[node]))
            for moment, cross in zip((found.N_goal, found.N_proj), crosses, strict=True):
                moment[slot, block] += cross
        found.v_goal += float(goals[reader.map.node].square().sum(dtype=torch.float64))
        found.v_proj += float(projected[reader.map.node].square().sum(dtype=torch.float64))
    for node, parts in images.items():
        _add_metric(found, [r for r in flow.readers if r.map.x is node], parts, tensors, places)


def _slots(counts: Sequence[int], biased: Sequence[bool]) -> list[Tensor]:
    """Rows of each writer: its features, and its constant, which stand behind the features of all."""
    slots, start, constant = [], 0, sum(counts)
    for count, bias in zip(counts, biased, strict=True):
        rows = torch.arange(start, start + count)
        slots.append(torch.cat([rows, torch.tensor([constant])]) if bias else rows)
        start, constant = start + count, constant + int(bias)
    return slots


def _width(reader: Reader, tensors: Mapping[str, Tensor]) -> int:
    """M of a reader: its weights per new channel."""
    weight = tensors[reader.map.name]
    return weight.numel() // weight.shape[reader.map.in_axis] * reader.block.places


def _cross(reader: Reader, image: Tensor, weight: Tensor, each: Sequence[Tensor]) -> list[Tensor]:
    """``sum B^T v`` of each v as the layer reads new channels: the gradient of the weights that it has for them."""
    shape = list(weight.shape)
    shape[reader.map.in_axis] = image.shape[reader.map.channels]
    with torch.enable_grad():
        zero = image.new_zeros(shape).requires_grad_()
        out = reader.map.apply(image, zero)
        found = [torch.autograd.grad(out, zero, v, retain_graph=True)[0] for v in each]
    return [reader.block.matrix(gradient, reader.map.in_axis).double() for gradient in found]


def _add_metric(
    found: _Sums,
    readers: Sequence[Reader],
    parts: Sequence[tuple[Tensor, Tensor]],
    tensors: Mapping[str, Tensor],
    places: int | None,
) -> None:
    """Layers that read the same values share one metric, with the largest of their weights at each position."""
    image, features = parts[0][1], len(found.S)
    weights = torch.stack(
        [position_weights(r, image, tensors[r.map.name], features, places or r.block.places) for r in readers]
    ).amax(0)
    rows = torch.cat([image_rows(readers[0], image) for _, image in parts], 2)
    index = torch.cat([slot for slot, _ in parts])
    scaled = (rows * weights.sqrt().view(1, -1, 1)).flatten(0, 1)
    found.S[index.unsqueeze(1), index] += (scaled.T @ scaled).double()
    found.mean[index] += rows.flatten(0, 1).double().mean(0) * len(rows)
    found.weight += float(weights.sum()) * len(rows)


def _moments(
    found: _Sums, samples: int, flow: Flow, tensors: Mapping[str, Tensor], precision: torch.dtype
) -> SiteMoments:
    counts = flow.feature_counts(tensors)
    units = torch.cat([torch.full((count,), number) for number, count in enumerate(counts)])
    constants = sum(writer.bias is not None for writer in flow.writers)
    units = torch.cat([units, torch.full((constants,), CONSTANT)])
    return SiteMoments(
        S=found.S / samples,
        N_proj=found.N_proj / samples,
        N_noise=torch.zeros_like(found.N_proj).unsqueeze(0),
        N_goal=found.N_goal / samples,
        mean=found.mean / samples,
        v_goal_squared=found.v_goal / samples,
        precision=precision,
        has_constant=constants > 0,
        v_proj_squared=found.v_proj / samples,
        units=units.to(found.S.device),
    )
