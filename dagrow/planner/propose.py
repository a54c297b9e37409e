"""Proposals: look at the data once, draft every candidate, measure what each would really gain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network, frozen_names, intact_network
from dagrow.distributed import ALONE, Processes
from dagrow.errors import GrowthError
from dagrow.graph import Dag, cost
from dagrow.methods import GOAL, NOISE_LEVELS, MethodRequest, find_fallback_method, find_method
from dagrow.mutation import apply_change, redirected
from dagrow.planner.agreement import agree_on_proposal, checked_together
from dagrow.planner.amplitude_rule import Amplitudes
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
from dagrow.planner.selection import WHERE, find_where, promise, ranked
from dagrow.planner.signature import shows_options
from dagrow.planner.solve_candidates import make_drafts
from dagrow.planner.upper_bounds import UpperBoundScreen
from dagrow.spec.proposal import ProposalOptions
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


@shows_options
@collector_paused()
def propose(
    model: torch.fx.GraphModule,
    loss: LossFunction,
    data: Iterable[Any],
    *,
    options: ProposalOptions | None = None,
    precision: torch.dtype | None = None,
    processes: Processes = ALONE,
    **fields: Any,
) -> Plan:
    """Measures what each possible insertion would gain. The network is not changed.

    Args:
        model: from `build`, in the mode (train or eval) in which losses count; device and dtype are its own.
        loss: ``(output, target) -> scalar``, the mean over the batch; class weights and ignored targets count as they
            weigh.
        data: batches ``(x, y)``; the same on every pass. Several inputs come as a tuple or a dict.
        options: what is asked for; its defaults are those of a run file.
        precision: dtype of the statistics' products; the model's if left out.
        processes: that make this proposal together: all call it alike, each with its own part of the data, and all
            get the plan that one process would make of all the data.
        fields: of `ProposalOptions`, by name; what is given here holds instead of what ``options`` says.

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
    network, asked = checked_together(processes, lambda: (intact_network(model), ProposalOptions.of(fields, options)))
    agree_on_proposal(processes, network, asked, precision)
    find_where(asked.where)
    where, significance, amplitudes = WHERE.current(asked.where), asked.significance, Amplitudes.of(asked)
    dag = network.dag
    makers = {
        asked.fallback_method: find_fallback_method(asked.fallback_method),
        asked.method: find_method(asked.method),
    }
    needs = frozenset(need for maker in makers.values() for need in maker.needs)
    request = MethodRequest(
        asked.neurons,
        significance=significance,
        keep_below_noise=asked.keep_below_noise,
        seed=asked.seed,
        fallback_method=makers[asked.fallback_method],
        copy_noise=asked.copy_noise,
        pad=asked.pad,
        noise_level=NOISE_LEVELS.find(asked.noise_level),
    )
    shrinkages = SHRINKAGES if asked.shrinkage == "auto" else (asked.shrinkage,)
    ask = SolveOptions(
        makers[asked.method], request, shrinkages, asked, _room(dag, asked), frozen=frozen_names(network)
    )
    entries, fixed = find_locations(dag, asked.candidates, asked.nodes, asked.new_node)
    check_needs(makers, dag, asked.candidates)
    stream = IndexedBatches(data, network, asked.held_out, processes, request.noise_level.draws)
    with ordinary_mode(network), untouched(network):
        snapshots = _snapshots(network, loss, stream, entries)

        def worth(place: Location, bound: float) -> float:
            return promise(where, bound, *burden(dag, place, asked.neurons))

        screen = UpperBoundScreen(snapshots, asked.seed)
        chosen = shortlist(entries, asked.max_solved, screen.bounds, worth, node_templates(asked.new_node))
        needed = [entry.kind.needed(entry.place, asked.fan_out == "pointwise") for entry in chosen.entries]
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
            limits = asked.max_solved, asked.max_searched
            return drafts, measure(snapshots, drafts, *limits, where, significance, amplitudes)

        drafts, found = proposed(chosen.entries, ask)
        failed = [i for i in found.failed if not drafts[i].completed] if ask.method.completed else []
        if failed and asked.fallback_method != "none":
            # The method has found neurons there, and they do not gain: what completes it has its turn.
            other = replace(ask, method=makers[asked.fallback_method], request=replace(request, fallback_method=None))
            _, again = proposed([chosen.entries[i] for i in failed], other)
            for i, candidate in zip(failed, again.candidates, strict=True):
                if not candidate.rejected:
                    found.candidates[i] = candidate
    order = list(dict.fromkeys((*dag.order, *(draft.place for draft in drafts))))
    reference = found.loss if found.held_out_loss is None else found.held_out_loss
    candidates = [
        amplitudes.judged(priced(candidate, asked.min_gain_per_parameter), reference) for candidate in found.candidates
    ]
    return Plan(
        ranked(candidates, where, order, asked.turn, found.loss, asked.seed),
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
        insert: how, see `INSERT`: ``amplitude`` as measured; ``zero_fan_out_unscaled`` with the same fan-in and
            fan-out 0 (a new edge with weights 0), so that nothing jumps and training does the rest.
        random_weights: as a control, random weights of the same norms take the place of those that were computed.
        averages: ``torch.optim.swa_utils.AveragedModel`` of the network. They keep the averages of old entries;
            new ones start at their present values.

    Raises:
        GrowthError: if the candidate was rejected, the network has changed since, there is no such way to insert,
            frozen weights would be moved or keep neurons silent, or an average is that of another network.
        OptimizerError: if an optimizer's state cannot be carried, or none holds a weight that requires a gradient.
    """
    network = intact_network(model)
    if not isinstance(candidate, Candidate):
        raise GrowthError(
            f"give a candidate of a plan, not {type(candidate).__name__}: 'plan.best' is None where nothing gains"
        )
    this = f"this {candidate.kind} of '{candidate.place}'"
    if candidate.rejected or candidate.trial is None or candidate.measured_on is None or candidate.amplitude == 0.0:
        raise GrowthError(f"{this} is not to be inserted: {candidate.rejected or 'it has no amplitude'}")
    if difference := candidate.measured_on.difference(network):
        raise GrowthError(difference.format(this))
    with ordinary_mode(network):
        change = find_insert(insert)(candidate.trial, candidate.amplitude)
        apply_change(network, redirected(change) if random_weights else change, optimizer, averages)


def _room(dag: Dag, asked: ProposalOptions) -> tuple[float, float]:
    """Parameters and multiply-adds that may still be added."""
    parameters, multiply_adds = (
        float("inf") if most is None else most - used
        for most, used in zip((asked.max_parameters, asked.max_macs), cost(dag), strict=True)
    )
    return parameters, multiply_adds


def _snapshots(
    network: Network, loss: LossFunction, stream: IndexedBatches, entries: Sequence[ScreeningEntry]
) -> ActivationCache:
    """Of all that the places change or read."""
    places = [entry.place for entry in entries]
    changed = dict.fromkeys(target for place in places for target in place.targets)
    growing = dict.fromkeys(place.node for place in places if place.structure is None)
    read = dict.fromkeys(source for place in places for source in place.sources)
    return ActivationCache(network, loss, stream, tuple(changed), tuple(growing), tuple(read))
