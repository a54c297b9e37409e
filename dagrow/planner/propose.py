"""Proposals: look at the data once, draft every candidate, measure what each would really gain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network, check_intact, frozen_names
from dagrow.distributed import ALONE, Processes
from dagrow.errors import GrowthError
from dagrow.graph import cost
from dagrow.methods import GOAL, MethodRequest, find_completion, find_method
from dagrow.mutation import apply_change, redirected
from dagrow.planner.candidate import Candidate
from dagrow.planner.evaluate import untouched
from dagrow.planner.gc_guard import collector_paused
from dagrow.planner.insertion_modes import find_insert
from dagrow.planner.kinds import Location, Proposal, SolveOptions
from dagrow.planner.locations import find_locations, node_templates
from dagrow.planner.measure import Findings, measure
from dagrow.planner.method_requirements import check_needs, supplied
from dagrow.planner.parameter_penalty import priced
from dagrow.planner.plan import Plan, Stages
from dagrow.planner.screening import ScreeningEntry, burden, shortlist
from dagrow.planner.selection import find_where, promise, ranked
from dagrow.planner.solve_candidates import make_drafts
from dagrow.planner.upper_bounds import UpperBoundScreen
from dagrow.spec.growth import NewNodeSpec
from dagrow.statistics import ActivationCache, IndexedBatches, LossFunction, collect

SHRINKAGES = (0.0, 1e-4, 1e-2, 1e-1, 1.0, 1e1, 1e2)
"""What ``shrinkage="auto"`` chooses from, by the loss on held-out samples."""


@contextmanager
def ordinary_mode(model: torch.fx.GraphModule) -> Iterator[None]:
    """Inside, numbers have gradients and the precision of the weights: no inference mode, no autocast."""
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        for kind in {parameter.device.type for parameter in model.parameters()}:
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@collector_paused()
def propose(
    model: torch.fx.GraphModule,
    loss: LossFunction,
    data: Iterable[Any],
    *,
    method: str = "tiny",
    completion: str = "nonlinear",
    candidates: Sequence[str] = ("widen",),
    nodes: Sequence[str] | None = None,
    neurons: int = 8,
    where: str = "gain",
    shrinkage: float | Literal["auto"] = "auto",
    held_out: float | None = None,
    significance: float = 1.0,
    fill: bool = False,
    fan_out: Literal["full", "pointwise"] = "full",
    with_update: bool = False,
    new_node: NewNodeSpec | Mapping[str, Any] | None = None,
    removal: float = 0.0,
    keep: tuple[int, int] = (16, 8),
    max_parameters: int | None = None,
    max_multiply_adds: int | None = None,
    price: float = 0.0,
    turn: int = 0,
    seed: int = 0,
    noise: float = 0.0,
    pad: bool = False,
    precision: torch.dtype | None = None,
    processes: Processes = ALONE,
) -> Plan:
    """Measures what each possible insertion would gain. The network is not changed.

    Args:
        model: from `build`, in the mode (train or eval) in which losses count; device and dtype are its own.
        loss: ``(output, target) -> scalar``, the mean over the batch; class weights and ignored targets count as they
            weigh.
        data: batches ``(x, y)``; the same on every pass. Several inputs come as a tuple or a dict.
        method: how new neurons are made, see `METHODS`.
        completion: what makes them where ``tiny`` finds none, or none that gain, see `COMPLETIONS`.
        candidates: kinds of change, see `KINDS`: ``widen`` a node; a new ``edge``, ``node`` or ``layer``;
            ``update`` existing weights; ``remove`` an edge or node.
        nodes: the only places to consider: nodes that would grow, or into which something new would lead.
        neurons: new features per place, at most.
        where: which candidate is best, see `WHERE`.
        shrinkage: of the metric, relative to its mean diagonal; 0 is the papers' method, ``auto`` lets
            held-out samples choose.
        held_out: share of the samples kept from the statistics, which chooses shrinkage and amplitude; left
            out, a fifth with ``auto`` and none otherwise.
        significance: singular values must exceed this multiple of their noise level, and a held-out gain this
            multiple of its standard error; 0 keeps all.
        fill: where the best singular value does, the others may lie below: all neurons that were asked for are made.
        fan_out: of new convolution channels: the full kernel, or its centre.
        with_update: new neurons bring along the best updates of all their children (of a child below another, those of
            the edges that do not read it); the amplitudes of neurons and updates are searched together.
        new_node: activation, norm and kernel of new nodes, see `NewNodeSpec`; of a list, each is tried.
        removal: what a removal may add to the loss.
        keep: how many places are solved where pairs of nodes are among them (else, how many of a kind have a first
            look, those of the greatest slope), and how many candidates are searched to the end, after that look.
        max_parameters: the network may have no more afterwards.
        max_multiply_adds: likewise, for one sample.
        price: of a parameter, in units of the loss: what gains less than its parameters cost is rejected.
        turn: where the ``naive`` strategy starts.
        seed: for methods that draw.
        noise: on the fan-in of copied neurons (``net2net``), relative to their own.
        pad: where a method finds fewer neurons than were asked for, others with random fan-ins and a fan-out of 0
            complete them; where it finds none, these are the candidate.
        precision: dtype of the statistics' products; the model's if left out.
        processes: that make this proposal together: all call it alike, each with its own part of the data, and all
            get the plan that one process would make of all the data.

    Returns:
        All candidates, best first.

    Raises:
        GrowthError: if the request names what does not exist, the network is no longer what its graph says
            (parametrized layers, half precision, edited code), or the loss is no number, or no mean over samples.
        SpecError: if ``new_node`` does.
        DataError: if the data are empty, or change from pass to pass.

    Warns:
        UserWarning: from ``dagrow.propose``, if a node reads so many features that it takes minutes.
    """
    network = _as_network(model)
    if neurons < 1:
        raise GrowthError(f"neurons must be at least 1, not {neurons}")
    shrinkages = _shrinkages(shrinkage)
    share = (0.2 if shrinkage == "auto" else 0.0) if held_out is None else held_out
    if not 0.0 <= share < 1.0:
        raise GrowthError(f"held_out is a share of the samples, from 0 to less than 1, not {share}")
    _check_limits(keep, removal=removal, significance=significance, noise=noise, price=price)
    if fan_out not in ("full", "pointwise"):
        raise GrowthError(f"fan_out is 'full' or 'pointwise', not '{fan_out}'")
    find_where(where)
    dag = network.dag
    now = cost(dag)
    limits = (max_parameters, max_multiply_adds)
    room = tuple(float("inf") if top is None else top - used for top, used in zip(limits, now, strict=True))
    makers = {completion: find_completion(completion), method: find_method(method)}
    needs = frozenset(need for maker in makers.values() for need in maker.needs)
    request = MethodRequest(
        neurons, significance=significance, fill=fill, seed=seed, completion=makers[completion], noise=noise, pad=pad
    )
    pointwise = fan_out == "pointwise"
    ask = SolveOptions(
        makers[method],
        request,
        shrinkages,
        with_update=with_update,
        pointwise=pointwise,
        room=(room[0], room[1]),
        removal=removal,
        frozen=frozen_names(network),
    )
    entries, fixed = find_locations(dag, candidates, nodes, new_node)
    check_needs(makers, dag, (candidates,) if isinstance(candidates, str) else candidates)
    stream = IndexedBatches(data, network, share, processes)
    with ordinary_mode(network), untouched(network):
        snapshots = _snapshots(network, loss, stream, entries)

        def worth(place: Location, bound: float) -> float:
            return promise(where, bound, *burden(dag, place, neurons))

        screen = UpperBoundScreen(snapshots, seed)
        chosen = shortlist(entries, keep[0], screen.bounds, worth, node_templates(new_node))
        needed = [entry.kind.needed(entry.place, pointwise) for entry in chosen.entries]
        statistics = collect(
            snapshots,
            targets=tuple({target.key: target for targets, _ in needed for target in targets}.values()),
            layouts=[layout for _, layouts in needed for layout in layouts],
            goal=GOAL in needs,
            noise=significance > 0,
            precision=precision,
        )
        if statistics.samples == stream.samples:
            # So few samples that none was held out: all of them do both jobs.
            stream.held_out = 0.0
        statistics = supplied(statistics, needs, snapshots)

        def proposed(entries: Sequence[ScreeningEntry], ask: SolveOptions) -> tuple[list[Proposal], Findings]:
            drafts = make_drafts(network, entries, statistics, ask, screen.bounds, worth, processes)
            return drafts, measure(snapshots, drafts, keep, where, significance)

        drafts, found = proposed(chosen.entries, ask)
        failed = [i for i in found.failed if not drafts[i].completed] if ask.method.completed else []
        if failed and completion != "none":
            # The method has found neurons there, and they do not gain: what completes it has its turn.
            other = replace(ask, method=makers[completion], request=replace(request, completion=None))
            _, again = proposed([chosen.entries[i] for i in failed], other)
            for i, candidate in zip(failed, again.candidates, strict=True):
                if not candidate.rejected:
                    found.candidates[i] = candidate
    order = list(dict.fromkeys((*dag.order, *(draft.place for draft in drafts))))
    return Plan(
        ranked([priced(candidate, price) for candidate in found.candidates], where, order, turn, found.loss, seed),
        found.loss,
        found.held_out_loss,
        stream.samples,
        where,
        (*fixed, *chosen.refused),
        Stages(chosen.considered, len(drafts), sum(bool(d.variants) for d in drafts), found.searched),
    )


def apply(
    model: torch.fx.GraphModule,
    candidate: Candidate,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
    *,
    insert: str = "amplitude",
    random_weights: bool = False,
    averages: Sequence[AveragedModel] = (),
) -> None:
    """Inserts a candidate in place: spec, weights, buffers, optimizer and averages together, or nothing.

    A learning-rate scheduler and a gradient scaler hold on to the optimizer and its groups, which stay: they need
    nothing.

    Args:
        model: the network that the candidate was proposed for, or a copy of it, with the weights that it had then.
        candidate: from a `Plan`.
        optimizer: whose parameter groups and moments go along; a list where several share the network. Together they
            must hold every weight that requires a gradient.
        insert: how, see `INSERT`: ``amplitude`` as measured; ``silent`` with the same fan-in and fan-out 0 (a new
            edge with weights 0), so that nothing jumps and training does the rest.
        random_weights: as a control, random weights of the same norms take the place of those that were computed.
        averages: ``torch.optim.swa_utils.AveragedModel`` of the network. They keep the averages of old entries;
            new ones start at their present values.

    Raises:
        GrowthError: if the candidate was rejected, the network has changed since, there is no such way to insert,
            frozen weights would be moved or keep neurons silent, or an average is that of another network.
        OptimizerError: if an optimizer's state cannot be carried, or none holds a weight that requires a gradient.
    """
    network = _as_network(model)
    if not isinstance(candidate, Candidate):
        raise GrowthError(
            f"give a candidate of a plan, not {type(candidate).__name__}: 'plan.best' is None where nothing gains"
        )
    if candidate.rejected or candidate.trial is None or candidate.amplitude == 0.0:
        reason = candidate.rejected or "it has no amplitude"
        raise GrowthError(f"this {candidate.kind} of '{candidate.place}' is not to be inserted: {reason}")
    if network.spec != candidate.spec:
        raise GrowthError(
            f"the network has changed since this {candidate.kind} of '{candidate.place}' was measured; propose again"
        )
    if candidate.measured_on is not None and not candidate.measured_on.fits(network):
        raise GrowthError(
            f"the weights have changed since this {candidate.kind} of '{candidate.place}' was measured, by training or "
            "another insertion; propose again"
        )
    with ordinary_mode(network):
        change = find_insert(insert)(candidate.trial, candidate.amplitude)
        apply_change(network, redirected(change) if random_weights else change, optimizer, averages)


def _as_network(model: torch.fx.GraphModule) -> Network:
    if not isinstance(model, Network):
        raise GrowthError("the model must come from dagrow.build: only such a module knows its graph")
    check_intact(model)
    return model


def _shrinkages(shrinkage: float | str) -> tuple[float, ...]:
    if shrinkage == "auto":
        return SHRINKAGES
    if isinstance(shrinkage, str) or not 0 <= shrinkage < float("inf"):
        raise GrowthError(f"shrinkage is 'auto' or a number from 0, not {shrinkage!r}")
    return (float(shrinkage),)


def _check_limits(keep: Sequence[int], **numbers: float) -> None:
    whole = isinstance(keep, (tuple, list)) and all(isinstance(n, int) and not isinstance(n, bool) for n in keep)
    if not whole or len(keep) != 2 or min(keep) < 1:
        raise GrowthError(
            f"keep is two whole numbers from 1 (how many are solved, and searched to the end), not {keep}"
        )
    for name, value in numbers.items():
        if not 0.0 <= value < float("inf"):
            raise GrowthError(f"{name} is a number from 0, not {value}")


def _snapshots(
    network: Network, loss: LossFunction, stream: IndexedBatches, entries: Sequence[ScreeningEntry]
) -> ActivationCache:
    """Of all that the places change or read."""
    places = [entry.place for entry in entries]
    changed = dict.fromkeys(target for place in places for target in place.targets)
    growing = dict.fromkeys(place.node for place in places if place.structure is None)
    read = dict.fromkeys(source for place in places for source in place.sources)
    return ActivationCache(network, loss, stream, tuple(changed), tuple(growing), tuple(read))
