"""Proposals for a module of one's own: look at the data twice, draft every space, measure what each would gain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

from dagrow.capture import CapturedModule, named_tensors
from dagrow.errors import GrowthError, listed
from dagrow.methods import METHODS, MethodRequest, Neurons, SiteMoments
from dagrow.module_growth.batches import Part, Split, split
from dagrow.module_growth.candidate import ModulePlan, SpaceCandidate
from dagrow.module_growth.entries import put
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.flow_rules import NoLinearPath
from dagrow.module_growth.moments import Collected, LossFunction, collect
from dagrow.module_growth.trial import Trial, mean_loss, new_channels
from dagrow.resize import Widened, widen
from dagrow.resize.kept import modes_and_buffers_kept, without_dropout

SHRINKAGES = (0.0, 1e-2, 1.0)
"""What ``shrinkage="auto"`` chooses from, by the loss on held-out samples."""

COPIES = "net2net"
"""The method whose new channels are copies; it needs no data."""

MODULE_METHODS = (*(name for name, entry in METHODS.items() if not entry.needs and not entry.needs_search), COPIES)
"""Methods for modules: those that need no more than moments, and copies."""

SILENT = {COPIES, "random_zero_fan_out"}
"""Those whose channels change nothing when they enter; of these, spaces with the largest bottleneck come first."""


def propose_for_module(
    captured: CapturedModule,
    loss: LossFunction,
    data: Iterable[Any],
    *,
    spaces: Sequence[str] | None = None,
    method: str = "tiny",
    neurons: int = 8,
    multiple_of: int = 1,
    shrinkage: float | Literal["auto"] = "auto",
    held_out: float = 0.2,
    keep: int = 4,
    seed: int = 0,
) -> ModulePlan:
    """Measures what wider spaces would gain. The module is not changed.

    Args:
        captured: from `dagrow.from_module`, in the mode (train or eval) in which losses count; dropout is left out.
        loss: ``(output, target) -> scalar``, the mean over the batch.
        data: batches ``(inputs, target)``, inputs in the form of the example.
        spaces: names of the only spaces to consider; all that can grow if left out.
        method: how the weights of new channels are made, see `MODULE_METHODS`.
        neurons: new channels per space.
        multiple_of: the new size is a multiple of this.
        shrinkage: of the metric; ``auto`` lets the held-out samples choose.
        held_out: share of the samples that choose the amplitude and are not fitted to.
        keep: how many spaces have their amplitudes searched, those with the most to gain by their singular values.
        seed: for methods that draw.

    Raises:
        GrowthError: for options that make no sense, or a space that cannot grow.
        DataError: if the data are no pairs.
    """
    if method not in MODULE_METHODS:
        raise GrowthError(f"the method '{method}' is not for modules of one's own; allowed: {listed(MODULE_METHODS)}")
    chosen = captured.growable if spaces is None else tuple(captured.space(name) for name in spaces)
    for space in chosen:
        if not space.grows:
            raise GrowthError(f"'{space.name}' cannot grow: {space.reason}")
    parts = split(data, held_out)
    everything = (*parts.fit, *(parts.held_out if parts.held_out is not parts.fit and held_out else ()))
    flows, notes = {}, {}
    for space in chosen:
        try:
            flows[space.name] = Flow(captured, space)
        except NoLinearPath as error:
            notes[space.name] = str(error)
    with modes_and_buffers_kept(captured.model), without_dropout():
        found = collect(captured, flows, loss, parts.fit)
    notes |= found.reasons
    start = mean_loss(captured, loss, everything), mean_loss(captured, loss, parts.held_out)
    shrinkages = SHRINKAGES if shrinkage == "auto" else (float(shrinkage),)
    drafts: dict[str, dict[float, Neurons]] = {}
    if method in SILENT:
        notes |= dict.fromkeys(found.moments, f"{method} keeps the function")
    for name, moments in () if method in SILENT else found.moments.items():
        count = neurons + -(captured.space(name).size + neurons) % multiple_of
        drafts[name] = {rho: _drafted(method, moments, count, rho, seed) for rho in shrinkages}
    promise = {name: max(float(n.scores.square().sum()) for n in own.values()) for name, own in drafts.items()}
    order = sorted(promise, key=lambda name: -promise[name])
    candidates = []
    for name in order:
        bottleneck = found.moments[name].v_proj_squared
        if order.index(name) >= keep:
            candidates.append(
                SpaceCandidate(name, neurons, bottleneck=bottleneck, rejected="promises less than others")
            )
        elif not any(n.count for n in drafts[name].values()):
            notes[name] = f"{method} finds nothing"
        else:
            whole = _Look(captured, flows[name], loss, parts, everything, start, found)
            candidates.append(whole.best(drafts[name]))
    fingerprint = weights_digest(captured)
    for name, note in notes.items():
        count = neurons + -(captured.space(name).size + neurons) % multiple_of
        held = found.moments[name].v_proj_squared if name in found.moments else None
        copies = method == COPIES and captured.space(name).kind == "plain" and not captured.space(name).label
        candidates.append(SpaceCandidate(name, count, bottleneck=held, note=f"silent: {note}", copies=copies))
    ranked = sorted(candidates, key=lambda c: (bool(c.rejected), -c.held_out_gain, -c.gain, -(c.bottleneck or 0.0)))
    return ModulePlan(
        tuple(replace(c, fingerprint=fingerprint) for c in ranked),
        *start,
        sum(part.count for part in everything),
        tuple((space.name, space.reason) for space in captured.spaces if not space.grows),
    )


def _drafted(method: str, moments: SiteMoments, count: int, shrinkage: float, seed: int) -> Neurons:
    request = MethodRequest(neurons=count, shrinkage=shrinkage, significance=0.0, seed=seed)
    return METHODS.find(method)(moments, request)


class _Look:
    """One space, measured in a copy of the module."""

    def __init__(
        self,
        captured: CapturedModule,
        flow: Flow,
        loss: LossFunction,
        parts: Split,
        everything: Sequence[Part],
        start: tuple[float, float],
        found: Collected,
    ) -> None:
        self.captured, self.flow, self.loss, self.parts = captured, flow, loss, parts
        self.everything, self.start, self.found = everything, start, found
        self.name = flow.space.name
        self._trials: dict[int, Trial] = {}

    def _trial(self, count: int) -> Trial:
        """A copy that has grown by so many channels; made once."""
        if count not in self._trials:
            self._trials[count] = Trial(self.captured, self.flow, count, self.loss)
        return self._trials[count]

    def best(self, drafts: dict[float, Neurons]) -> SpaceCandidate:
        """The candidate of the shrinkage that gains most on the held-out samples."""
        moments = self.found.moments[self.name]
        tried = [self._measured(neurons, rho) for rho, neurons in drafts.items() if neurons.count]
        best = max(tried, key=lambda candidate: candidate.held_out_gain)
        return replace(best, bottleneck=moments.v_proj_squared)

    def _measured(self, neurons: Neurons, shrinkage: float) -> SpaceCandidate:
        moments, scale = self.found.moments[self.name], self.found.scales[self.name]
        size = ((neurons.alpha * (moments.S @ neurons.alpha)).sum(0).clamp(min=0) / max(scale, 1e-300)).sqrt()
        channels = new_channels(self.captured, self.flow, neurons, size, self.parts.fit)
        trial = self._trial(neurons.count)
        signs = torch.ones(neurons.count, dtype=torch.float64)
        own = trial.slopes(channels, self.parts.fit)
        other = trial.slopes(channels.mirrored(-signs.to(channels.alpha)), self.parts.fit)
        signs = torch.where(other > own, -1.0, 1.0).to(channels.alpha)
        channels, slopes = channels.mirrored(signs), torch.maximum(own, other)
        slope = float(slopes.sum())
        search = trial.search(channels, slope, self.parts.held_out, self.start[1])
        added = sum(each.new.numel() - each.old.numel() for each in trial.widened.tensors if _trained(each.new))
        scores = tuple(neurons.scores.tolist())
        if not search.amplitude:
            return SpaceCandidate(
                self.name, neurons.count, slope=slope, scores=scores, shrinkage=shrinkage, parameters=added,
                rejected="no amplitude lowers the loss",
            )  # fmt: skip
        trial.put(channels.at(search.amplitude))
        gain = self.start[0] - trial.mean_loss(self.everything)
        return SpaceCandidate(
            self.name, neurons.count, gain, self.start[1] - search.lowest_loss, slope, search.amplitude, scores=scores,
            shrinkage=shrinkage, parameters=added, weights=channels,
        )  # fmt: skip


def _trained(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, torch.nn.Parameter)


def weights_digest(captured: CapturedModule) -> str:
    """A checksum of all parameters and buffers."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in named_tensors(captured.model):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def apply_to_module(
    captured: CapturedModule,
    candidate: SpaceCandidate,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
    *,
    averages: Sequence[torch.optim.swa_utils.AveragedModel] = (),
    silent: bool = False,
) -> Widened:
    """Inserts what was proposed, in the module itself.

    Args:
        captured: the module that it was measured on.
        candidate: of a plan.
        optimizer: whose groups and state go along; a list where several share the module.
        averages: of the module's weights, which go along.
        silent: with outgoing weights of 0, whatever was measured: the function is kept.

    Raises:
        GrowthError: if the candidate was rejected, or the weights have changed since it was measured.
        OptimizerError: if the optimizer's state cannot be carried.
    """
    if candidate.rejected:
        raise GrowthError(f"this candidate was rejected: {candidate.rejected}")
    if candidate.weights is None:
        return widen(
            captured, candidate.space, candidate.channels, optimizer, averages=averages, copies=candidate.copies
        )
    if candidate.fingerprint != weights_digest(captured):
        raise GrowthError("the weights have changed since this candidate was measured: propose again")
    space = captured.space(candidate.space)
    flow = Flow(captured, space)
    widened = widen(captured, space, candidate.channels, optimizer, averages=averages)
    channels = candidate.weights.at(candidate.amplitude)
    channels = channels.scaled(1.0, 0.0) if silent else channels
    try:
        for model in (captured.model, *(average.module for average in averages)):
            put(model, widened, flow, channels)
    except BaseException:
        widened.undo()
        raise
    return widened
