"""Proposals: look at the data once, draft every candidate, measure what each would really gain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch

from dagrow.build import Network
from dagrow.errors import GrowthError, did_you_mean, listed
from dagrow.graph import Dag, FixedSize, Site, cost
from dagrow.methods import Request, find_method
from dagrow.mutation import apply_change
from dagrow.planner.candidate import Candidate
from dagrow.planner.drafts import KINDS, Ask, Kind
from dagrow.planner.evaluate import untouched
from dagrow.planner.measure import measure
from dagrow.planner.plan import Plan
from dagrow.planner.where import find_where, ranked
from dagrow.statistics import LossFunction, Snapshots, Stream, collect, watched

SHRINKAGES = (0.0, 1e-4, 1e-2, 1e-1, 1.0, 1e1, 1e2)
"""What ``shrinkage="auto"`` chooses from, by the loss on held-out samples."""


def propose(
    model: torch.fx.GraphModule,
    loss: LossFunction,
    data: Iterable[Any],
    *,
    method: str = "tiny",
    candidates: Sequence[str] = ("widen",),
    nodes: Sequence[str] | None = None,
    neurons: int = 8,
    where: str = "gain",
    shrinkage: float | Literal["auto"] = "auto",
    held_out: float | None = None,
    significance: float = 1.0,
    fan_out: Literal["full", "pointwise"] = "full",
    with_update: bool = False,
    max_parameters: int | None = None,
    max_multiply_adds: int | None = None,
    turn: int = 0,
    seed: int = 0,
    precision: torch.dtype | None = None,
) -> Plan:
    """Measures what each possible insertion would gain. The network is not changed.

    Args:
        model: from `build`, in the mode (train or eval) in which losses count; device and dtype are its own.
        loss: ``(output, target) -> scalar``, the mean over the batch.
        data: batches ``(x, y)``; the same on every pass. Several inputs come as a tuple or a dict.
        method: how new neurons are made, see `METHODS`.
        candidates: kinds of insertion: ``widen`` a node, ``update`` existing weights.
        nodes: the only places to consider.
        neurons: new features per place, at most.
        where: which candidate is best, see `WHERE`.
        shrinkage: of the metric, relative to its mean diagonal; 0 is the papers' method, ``auto`` lets
            held-out samples choose.
        held_out: share of the samples kept from the statistics, which chooses shrinkage and amplitude; left
            out, a fifth with ``auto`` and none otherwise.
        significance: singular values must exceed this multiple of their noise level; 0 keeps all.
        fan_out: of new convolution channels: the full kernel, or its centre.
        with_update: new neurons bring along the best update of their children, at one amplitude.
        max_parameters: the network may have no more afterwards.
        max_multiply_adds: likewise, for one sample.
        turn: where the ``naive`` strategy starts.
        seed: for methods that draw.
        precision: dtype of the statistics' products; the model's if left out.

    Returns:
        All candidates, best first.

    Raises:
        GrowthError: if the request names what does not exist, or the loss is no number.
        DataError: if the data are empty, or change from pass to pass.
    """
    network = _as_network(model)
    if neurons < 1:
        raise GrowthError(f"neurons must be at least 1, not {neurons}")
    shrinkages = _shrinkages(shrinkage)
    share = (0.2 if shrinkage == "auto" else 0.0) if held_out is None else held_out
    if not 0.0 <= share < 1.0:
        raise GrowthError(f"held_out is a share of the samples, from 0 to less than 1, not {share}")
    find_where(where)
    dag = network.dag
    now = cost(dag)
    limits = (max_parameters, max_multiply_adds)
    room = tuple(float("inf") if top is None else top - used for top, used in zip(limits, now, strict=True))
    request = Request(neurons, significance=significance, seed=seed)
    ask = Ask(find_method(method), request, shrinkages, with_update, (room[0], room[1]))
    kinds = [_find_kind(name) for name in candidates]
    chosen = [(kind, *_places(kind, dag, nodes)) for kind in kinds]
    fixed = tuple(dict.fromkeys(place for _, _, refused in chosen for place in refused))
    stream = Stream(data, network, share)
    with untouched(network):
        needs = [kind.needs(dag, places) for kind, places, _ in chosen]
        targets = tuple(dict.fromkeys(node for wanted, _ in needs for node in wanted))
        sites = tuple(dict.fromkeys(place for _, wanted in needs for place in wanted))
        snapshots = Snapshots(network, loss, stream, watched(targets, sites), [place.node for place in sites])
        statistics = collect(
            snapshots,
            nodes=targets,
            sites=sites,
            pointwise=fan_out == "pointwise",
            noise=significance > 0,
            precision=precision,
        )
        if statistics.samples == stream.samples:
            # So few samples that none was held out: all of them do both jobs.
            stream.held_out = 0.0
        drafts = [kind.draft(network, dag, place, statistics, ask) for kind, places, _ in chosen for place in places]
        measured, start, held_start = measure(snapshots, drafts)
    order = list(dag.order)
    return Plan(
        ranked(measured, where, order, turn),
        start,
        held_start,
        stream.samples,
        where,
        fixed,
    )


def apply(
    model: torch.fx.GraphModule,
    candidate: Candidate,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    insert: Literal["amplitude", "silent"] = "amplitude",
) -> None:
    """Inserts a candidate in place: spec, weights, buffers and optimizer together, or nothing.

    Args:
        model: the network that the candidate was proposed for, or a copy of it.
        candidate: from a `Plan`.
        optimizer: whose parameter groups and moments go along.
        insert: ``amplitude`` as measured; ``silent`` with the same fan-in and fan-out 0, so that nothing
            jumps and training does the rest.

    Raises:
        GrowthError: if the candidate was rejected, or the network has changed since.
        OptimizerError: if the optimizer's state cannot be carried.
    """
    network = _as_network(model)
    if candidate.rejected or candidate.trial is None or candidate.amplitude == 0.0:
        reason = candidate.rejected or "it has no amplitude"
        raise GrowthError(f"this {candidate.kind} of '{candidate.place}' is not to be inserted: {reason}")
    if network.spec != candidate.trial.dag.spec:
        raise GrowthError(
            f"the network has changed since this {candidate.kind} of '{candidate.place}' was measured; propose again"
        )
    if insert not in ("amplitude", "silent"):
        raise GrowthError(f"insert is 'amplitude' or 'silent', not '{insert}'")
    apply_change(network, candidate.trial.scaled(candidate.amplitude, silent=insert == "silent"), optimizer)


def _as_network(model: torch.fx.GraphModule) -> Network:
    if not isinstance(model, Network):
        raise GrowthError("the model must come from dagrow.build: only such a module knows its graph")
    return model


def _shrinkages(shrinkage: float | str) -> tuple[float, ...]:
    if shrinkage == "auto":
        return SHRINKAGES
    if isinstance(shrinkage, str) or not 0 <= shrinkage < float("inf"):
        raise GrowthError(f"shrinkage is 'auto' or a number from 0, not {shrinkage!r}")
    return (float(shrinkage),)


def _find_kind(name: str) -> Kind:
    if name not in KINDS:
        raise GrowthError(f"unknown kind of candidate '{name}'{did_you_mean(name, KINDS)}; allowed: {listed(KINDS)}")
    return KINDS[name]


def _places(kind: Kind, dag: Dag, nodes: Sequence[str] | None) -> tuple[list[Site], list[FixedSize]]:
    """Places of a kind that were asked for, and those that cannot change.

    Raises:
        GrowthError: if a named place does not exist or cannot change.
    """
    found = {place.node: place for place in kind.places(dag)}
    for name in nodes or ():
        if name not in found:
            raise GrowthError(f"there is no node '{name}'{did_you_mean(name, found)}; nodes: {listed(found)}")
        place = found[name]
        if isinstance(place, FixedSize):
            raise GrowthError(f"'{name}' cannot grow: {place.reason}")
    wanted = [place for name, place in found.items() if nodes is None or name in nodes]
    sites = [place for place in wanted if isinstance(place, Site)]
    return sites, [place for place in wanted if isinstance(place, FixedSize)]
