"""Proposals for a module of one's own: look at the data twice, draft every space, measure what each would gain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch

from dagrow.capture import CapturedModule, named_tensors
from dagrow.errors import GrowthError, listed
from dagrow.methods import EXISTING, GOAL, METHODS, SILENCE, MethodRequest
from dagrow.module_growth.batches import Losses, split
from dagrow.module_growth.candidate import ModulePlan, SpaceCandidate
from dagrow.module_growth.look import Look
from dagrow.module_growth.moments import collect
from dagrow.module_growth.sites import Draft, Site, find_flows, site_of
from dagrow.module_growth.two_looks import LossFunction
from dagrow.module_growth.updates import LayerUpdate, best_updates
from dagrow.resize import Widened, rounded_count, widen
from dagrow.resize.kept import modes_and_buffers_kept, without_dropout

SHRINKAGES = (0.0, 1e-2, 1.0)
"""What ``shrinkage="auto"`` chooses from, by the loss on held-out samples."""

COPIES = "net2net"
"""The method whose new channels are copies; it needs no data."""

SILENT = {COPIES}
"""Those whose channels are made when they are inserted; spaces with the largest bottleneck come first."""

GIVEN = {GOAL, EXISTING, SILENCE}
"""What a method may need; that activations are 0 at 0 is seen by the outputs, which must stay."""


def module_methods() -> tuple[str, ...]:
    """Names of the methods for modules: those that need no more than moments and the channels that are there."""
    return tuple(name for name, entry in METHODS.items() if set(entry.needs) <= GIVEN and not entry.needs_search)


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
    keep: int = 3,
    updates: bool = False,
    seed: int = 0,
) -> ModulePlan:
    """Measures what wider spaces would gain. The module is not changed.

    Args:
        captured: from `dagrow.from_module`, in the mode (train or eval) in which losses count; dropout is left out.
        loss: ``(output, target) -> scalar``, the mean over the batch.
        data: batches ``(inputs, target)``, inputs in the form of the example.
        spaces: names of the only spaces to consider; all that can grow if left out.
        method: how the weights of new channels are made, see `module_methods`.
        neurons: new channels per space.
        multiple_of: the new size is a multiple of this.
        shrinkage: of the metric; ``auto`` lets the held-out samples choose.
        held_out: share of the samples that choose the amplitude and are not fitted to.
        keep: how many spaces have their amplitudes searched, those with the most to gain by their singular values;
            with 0 the bottlenecks are all that is found, as by `spot_module`.
        updates: also measures the best updates of layers as they are, for one more look at the samples; of ``keep``
            layers the amplitude is searched.
        seed: for methods that draw.

    Raises:
        GrowthError: for options that make no sense, or a space that cannot grow.
        DataError: if the data are no pairs.
    """
    if method not in module_methods():
        raise GrowthError(f"the method '{method}' is not for modules of one's own; allowed: {listed(module_methods())}")
    chosen = captured.growable if spaces is None else tuple(captured.space(name) for name in spaces)
    for space in chosen:
        if not space.grows:
            raise GrowthError(f"'{space.name}' cannot grow: {space.reason}")
    parts = split(data, held_out)
    flows, notes = find_flows(captured, chosen)
    with modes_and_buffers_kept(captured.model), without_dropout():
        found = judge = collect(captured, flows, loss, parts.fit)
        if parts.held_out is not parts.fit:
            judge = collect(captured, flows, loss, parts.held_out, fitted=False)
    notes |= found.reasons
    sites, judges = (
        {name: site for name, flow in flows.items() if (site := site_of(captured, flow, own, parts.held_out))}
        for own in (found, judge)
    )
    start = Losses(found.loss, judge.loss, parts)
    notes |= {name: reason for name, site in sites.items() if (reason := _left_silent(site, method))}
    shrinkages = SHRINKAGES if shrinkage == "auto" else (float(shrinkage),)
    drafts: dict[str, dict[float, Draft]] = {}
    for name, site in sites.items():
        if name not in notes:
            count = site.directions(rounded_count(captured.space(name), neurons, multiple_of))
            drafts[name] = {
                rho: site.draft(METHODS.find(method), MethodRequest(count, rho, significance=0.0, seed=seed))
                for rho in shrinkages
            }
    promise = {name: max(float(n.scores.square().sum()) for n in own.values()) for name, own in drafts.items()}
    order = sorted(promise, key=lambda name: -promise[name])
    candidates = []
    for rank, name in enumerate(order):
        site = sites[name]
        if rank >= keep:
            scores = max((tuple(n.scores.tolist()) for n in drafts[name].values()), key=lambda s: sum(x * x for x in s))
            why = "promises less than others" if keep else "its gain was not measured"
            candidates.append(SpaceCandidate(name, neurons, bottleneck=site.bottleneck, scores=scores, rejected=why))
        elif not any(n.count for n in drafts[name].values()):
            notes[name] = f"{method} finds nothing, {next(iter(drafts[name].values())).reason}"
        else:
            try:
                candidates.append(Look(captured, site, judges[name], loss, parts, start).best(drafts[name]))
            except GrowthError as error:
                candidates.append(SpaceCandidate(name, neurons, bottleneck=site.bottleneck, rejected=str(error)))
    fingerprint = weights_digest(captured)
    for name, note in notes.items():
        count = rounded_count(captured.space(name), neurons, multiple_of)
        held = sites[name].bottleneck if name in sites else None
        copies = method == COPIES and captured.space(name).kind == "plain" and not captured.space(name).label
        candidates.append(SpaceCandidate(name, count, bottleneck=held, note=f"silent: {note}", copies=copies))
    ranked = sorted(candidates, key=_rank)
    measured = best_updates(captured, loss, start, shrinkages, keep) if updates else ()
    return ModulePlan(
        tuple(replace(c, fingerprint=fingerprint) for c in ranked),
        start.everywhere(start.fit, start.held_out),
        start.held_out,
        start.samples,
        method,
        tuple((space.name, space.reason) for space in captured.spaces if not space.grows),
        tuple(replace(update, fingerprint=fingerprint) for update in measured),
    )


def spot_module(
    captured: CapturedModule,
    loss: LossFunction,
    data: Iterable[Any],
    *,
    neurons: int = 4,
    spaces: Sequence[str] | None = None,
    method: str = "tiny",
    shrinkage: float | Literal["auto"] = "auto",
    held_out: float = 0.2,
    seed: int = 0,
) -> ModulePlan:
    """Says where a module is too narrow: the bottleneck of every space, those that promise most first.

    It takes less than two forward-and-backward passes of the samples: no gain is measured. For the options see
    `propose_for_module`.

    Raises:
        GrowthError: for options that make no sense, or a space that cannot grow.
        DataError: if the data are no pairs.
    """
    return propose_for_module(
        captured, loss, data, spaces=spaces, method=method, neurons=neurons, shrinkage=shrinkage, held_out=held_out,
        keep=0, seed=seed,
    )  # fmt: skip


def _rank(c: SpaceCandidate) -> tuple[bool, float, float, float, float]:
    """Best first: by gain, of those that gain nothing yet by what the method promises, then by the bottleneck."""
    promise = 0.0 if c.held_out_gain else sum(score**2 for score in c.scores)
    return bool(c.rejected), -c.held_out_gain, -c.gain, -promise, -(c.bottleneck or 0.0)


def _left_silent(site: Site, method: str) -> str:
    """Why channels of a space are not computed; empty if they are."""
    if method in SILENT:
        return f"{method} keeps the function"
    if site.methods and method not in site.methods:
        return f"{method} does not make queries and keys"
    return ""


def weights_digest(captured: CapturedModule) -> str:
    """A checksum of all parameters and buffers."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in named_tensors(captured.model):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def apply_to_module(
    captured: CapturedModule,
    candidate: SpaceCandidate | LayerUpdate,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
    *,
    averages: Sequence[torch.optim.swa_utils.AveragedModel] = (),
    silent: bool = False,
) -> Widened | None:
    """Inserts what was proposed, in the module itself: None for an update, which widens nothing.

    Args:
        captured: the module that it was measured on.
        candidate: of a plan.
        optimizer: whose groups and state go along; a list where several share the module.
        averages: of the module's weights, which go along.
        silent: with outgoing weights of 0 (under norms over all channels, incoming ones), whatever was measured: the
            function is kept.

    Raises:
        GrowthError: if the candidate was rejected, or the weights have changed since it was measured.
        OptimizerError: if the optimizer's state cannot be carried.
    """
    if candidate.rejected:
        raise GrowthError(f"this candidate was rejected: {candidate.rejected}")
    if isinstance(candidate, LayerUpdate):
        _check_unchanged(captured, candidate.fingerprint)
        for model in (captured.model, *(average.module for average in averages)):
            candidate.put(model, candidate.amplitude)
        return None
    if candidate.weights is None:
        return widen(
            captured, candidate.space, candidate.channels, optimizer, averages=averages, copies=candidate.copies
        )
    _check_unchanged(captured, candidate.fingerprint)
    widened = widen(captured, candidate.space, candidate.channels, optimizer, averages=averages)
    channels = candidate.weights.at(candidate.amplitude)
    try:
        for model in (captured.model, *(average.module for average in averages)):
            (channels.silent if silent and candidate.slope is not None else channels).put(model, widened)
    except BaseException:
        widened.undo()
        raise
    return widened


def _check_unchanged(captured: CapturedModule, fingerprint: str) -> None:
    if fingerprint != weights_digest(captured):
        raise GrowthError("the weights have changed since this candidate was measured: propose again")
