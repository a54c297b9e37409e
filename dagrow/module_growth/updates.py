"""Best updates of layers as they are: what their own weights could do of the desired update, without growth.

The update of a layer is the least-squares fit ``dW* = (S^+ N)^T`` (thesis, Prop. 3.2.2) of its ``v_goal = -dl/da``, in
one step and in closed form; its amplitude is searched by the loss on held-out samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dagrow.capture import CapturedModule, named_tensors
from dagrow.module_growth.batches import Losses, Part
from dagrow.module_growth.linear_map import LinearMap, find_maps
from dagrow.module_growth.readers import ReaderMoments, add_reader, update_of
from dagrow.module_growth.trial import mean_loss
from dagrow.module_growth.two_looks import LossFunction
from dagrow.planner.amplitude import AmplitudeSearch
from dagrow.resize import modes_and_buffers_kept
from dagrow.resize.kept import without_dropout


@dataclass(frozen=True)
class LayerUpdate:
    """The best update of one layer.

    Attributes:
        layer: name of its weight.
        bias: name of its bias; None without.
        changes: per tensor, what is added to it at amplitude 1.
        gain: drop of the mean loss over all samples.
        held_out_gain: the same on the samples that chose the amplitude.
        slope: ``-dL/dg`` at amplitude 0, on these samples.
        amplitude: that is inserted.
        shrinkage: of the metric, as chosen.
        rejected: why it is not to be inserted; empty if it may be.
        fingerprint: checksum of the weights that it was measured on.
    """

    layer: str
    bias: str | None
    changes: Mapping[str, Tensor]
    gain: float = 0.0
    held_out_gain: float = 0.0
    slope: float = 0.0
    amplitude: float = 0.0
    shrinkage: float = 0.0
    rejected: str = ""
    fingerprint: str = ""

    def __str__(self) -> str:
        what = self.rejected or f"gain {self.gain:.4g}, held out {self.held_out_gain:.4g} at {self.amplitude:.3g}"
        return f"update of {self.layer}: {what}"

    @torch.no_grad()
    def put(self, model: nn.Module, amplitude: float) -> None:
        """Adds it to the weights of a module, in place.

        Args:
            model: the module, a copy or an average of it.
            amplitude: that counts as 1.
        """
        tensors = dict(named_tensors(model))
        for name, change in self.changes.items():
            tensors[name].add_(change.to(tensors[name]), alpha=amplitude)


def best_updates(
    captured: CapturedModule, loss: LossFunction, start: Losses, shrinkages: Sequence[float], keep: int
) -> tuple[LayerUpdate, ...]:
    """The updates that gain, best first, then those that do not. Two looks at the samples, one at the held-out ones.

    Args:
        captured: the module; it is not changed.
        loss: ``(output, target) -> scalar``, the mean over the batch.
        start: losses of the module as it is, with the samples.
        shrinkages: of the metric, of which held-out moments choose.
        keep: how many have their amplitudes searched, those that promise most.
    """
    fit, held_out = start.parts
    tensors = {name: tensor.detach() for name, tensor in named_tensors(captured.model)}
    trained = {name for name, parameter in captured.model.named_parameters() if parameter.requires_grad}
    maps = {name: each for name, each in find_maps(captured.analysis).items() if each.name in trained}
    found = judge = _moments(captured, maps, loss, fit, tensors)
    if held_out is not fit:
        judge = _moments(captured, maps, loss, held_out, tensors)
    counts = [sum(part.count for part in parts) for parts in (fit, held_out)]
    drafted = []
    for name, moments in found.items():
        tried = [(rho, update_of(moments, counts[0], rho, maps[name], tensors)) for rho in shrinkages]
        promises = [_promise(update, judge[name], counts[1]) for _, update in tried]
        number = max(range(len(tried)), key=lambda i: promises[i][0])
        drafted.append((*promises[number], *tried[number], maps[name]))
    drafted.sort(key=lambda draft: -draft[0])
    updates = [
        _searched(captured, loss, start, _as_candidate(update, map_, rho, slope, tensors))
        for _, slope, rho, update, map_ in drafted[:keep]
    ]
    return tuple(sorted(updates, key=lambda each: (bool(each.rejected), -each.held_out_gain)))


def _moments(
    captured: CapturedModule,
    maps: Mapping[str, LinearMap],
    loss: LossFunction,
    parts: Sequence[Part],
    tensors: Mapping[str, Tensor],
) -> dict[str, ReaderMoments]:
    """Features against desired updates, of every layer; sums over samples."""
    found: dict[str, ReaderMoments] = {}
    wanted = {node for map_ in maps.values() for node in (map_.x, map_.node)}
    with modes_and_buffers_kept(captured.model), without_dropout():
        for part in parts:
            with torch.enable_grad():
                leaves, values = captured.program.run(part.inputs, wanted)
                value = loss(captured.program.packed(leaves), part.target)
                asked = [values[map_.node] for map_ in maps.values()]
                goals = torch.autograd.grad(value, asked, allow_unused=True)
            for (name, map_), goal in zip(maps.items(), goals, strict=True):
                if goal is not None:
                    x = values[map_.x].detach()
                    add_reader(found, name, map_, tensors[map_.name], x, goal.mul(-part.count))
    return found


def _promise(update: Tensor, judge: ReaderMoments, samples: int) -> tuple[float, float]:
    """What an update promises per unit of size, and its slope."""
    slope = float((update.T * judge.N).sum()) / samples
    size = float(((update @ judge.S) * update).sum()) / samples
    return slope / math.sqrt(max(size, 1e-300)), slope


def _as_candidate(
    update: Tensor, map_: LinearMap, shrinkage: float, slope: float, tensors: Mapping[str, Tensor]
) -> LayerUpdate:
    weight = tensors[map_.name]
    count = weight.numel() // weight.shape[map_.out_axis]
    changes = {map_.name: map_.weight(update[:, :count].to(weight), weight)}
    if map_.bias is not None:
        changes[map_.bias] = update[:, count].to(weight)
    return LayerUpdate(map_.name, map_.bias, changes, slope=slope, shrinkage=shrinkage)


def _searched(captured: CapturedModule, loss: LossFunction, start: Losses, update: LayerUpdate) -> LayerUpdate:
    if not update.slope > 0:
        return replace(update, rejected="it promises nothing on the samples held out")
    scale = abs(start.held_out) / update.slope or 1.0
    search = AmplitudeSearch(scale=scale, start=start.held_out)

    def found(amplitude: float, parts: Sequence[Part]) -> float:
        copy = captured.copied()
        update.put(copy.model, amplitude)
        return mean_loss(copy, loss, parts)

    while asked := search.ask():
        search.tell({relative: found(relative * scale, start.parts.held_out) for relative in asked})
    if not search.amplitude:
        return replace(update, rejected="no amplitude lowers the loss")
    same = start.parts.held_out is start.parts.fit
    fit = search.lowest_loss if same else found(search.amplitude, start.parts.fit)
    gain = start.everywhere(start.fit, start.held_out) - start.everywhere(fit, search.lowest_loss)
    return replace(
        update,
        gain=gain,
        held_out_gain=start.held_out - search.lowest_loss,
        amplitude=search.amplitude,
        rejected="" if gain > 0 else "it gains on the samples held out alone, and loses on all",
    )
