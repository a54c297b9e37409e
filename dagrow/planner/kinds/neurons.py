"""Drafts of new neurons, wherever they go: how many the budget allows, one variant per shrinkage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.graph import Cost, Dag
from dagrow.methods import (
    NORMALISATIONS,
    NOTHING,
    FixedScale,
    FunctionPreserving,
    Method,
    MethodRequest,
    Neurons,
    Normalisation,
    SearchedFanOut,
    SiteMoments,
    Sizes,
)
from dagrow.methods.padding import deviation, padded
from dagrow.mutation import Change, Constant, WeightUpdate
from dagrow.ops import ACTIVATIONS
from dagrow.planner.kinds.base import Location, Proposal, Solution, SolveOptions
from dagrow.planner.kinds.features import new_features
from dagrow.planner.kinds.fixed_scale import bounded_trial
from dagrow.planner.kinds.function_preserving import function_change_reason, function_preserving_trial
from dagrow.planner.scaling import BothSides, FanOut
from dagrow.planner.simulated_change import Trial
from dagrow.spec.graph import EdgeId
from dagrow.statistics import SiteLayout, Statistics, lasting_edges, solve_update, split_update

CostOf = Callable[[int], Cost]
"""What so many new neurons add to the graph."""


def draft_neurons(
    kind: str,
    network: Network,
    place: Location,
    statistics: Statistics,
    ask: SolveOptions,
    added: CostOf,
    constant: Constant | None = None,
    kept: int = 0,
) -> Proposal:
    """What to try at one place where neurons can be added.

    Args:
        kind: of insertion.
        network: to grow.
        place: where.
        statistics: with the moments of the place's site.
        ask: what is asked.
        added: what so many neurons cost.
        constant: what comes along whatever the amplitude.
        kept: features of the new node that are there besides the neurons.
    """
    room = _affordable(ask, added)
    if room < 1:
        return Proposal(kind, place.label, (), "over the budget")
    request = replace(ask.request, neurons=min(room, ask.request.neurons))
    layout, moments = statistics.layouts[place.label], statistics.sites[place.label]
    can_search, name, completed = moments.samples is not None, f"neurons of {kind} {place.label}", False
    if ask.may_search:
        found, reason = _made(ask, moments, request, f"{name}, searched")
    else:
        # What completes a method has its turn where the method finds nothing at any shrinkage.
        moments = replace(moments, samples=None)
        found, reason = _made(ask, moments, replace(request, fallback_method=NOTHING), name)
        if not found and not (isinstance(request.fallback_method, Method) and request.fallback_method.needs_search):
            found, reason = _made(ask, moments, request, f"{name}, completed")
            completed = True
    variants, normalisation = [], NORMALISATIONS.find(ask.options.normalisation)
    for shrinkage, neurons in found:
        match neurons.mode:
            case FunctionPreserving():
                if reason := function_change_reason(layout, neurons):
                    return Proposal(kind, place.label, (), reason)
                trial = function_preserving_trial(network, layout, normalisation.silent(neurons))
            case FixedScale():
                trial = bounded_trial(network, layout, neurons)
            case SearchedFanOut(updates=own):
                updates = _own_updates(place, layout, own, ask)
                trial = fan_out_trial(network, layout, neurons, moments.lengths, updates)
            case _:
                along = ask.options.with_update != "none"
                updates = _best_updates(place, layout, statistics, ask) if along else ()
                trial = neuron_trial(network, layout, neurons, moments, normalisation, updates)
        structure = place.structure and place.structure.with_size(place.node, kept + neurons.count)
        trial = replace(trial, change=replace(trial.change, structure=structure, constant=constant or Constant()))
        scores, count = tuple(neurons.scores.tolist()), neurons.count
        level, bottleneck = neurons.noise_level, moments.v_proj_squared
        variants.append(Solution(trial, shrinkage, scores, level, count, added(count), neurons.why, bottleneck))
    if any(variant.trial.scaling.function_preserving for variant in variants):
        return Proposal(kind, place.label, (variants[0],))
    reason = "" if variants else reason
    open_ = can_search and not ask.may_search and not variants
    return Proposal(kind, place.label, tuple(variants), reason, open=open_, completed=completed)


def _made(
    ask: SolveOptions, moments: SiteMoments, request: MethodRequest, name: str
) -> tuple[list[tuple[float, Neurons]], str]:
    """Neurons at each shrinkage that makes a difference, and why there are none otherwise."""
    found: list[tuple[float, Neurons]] = []
    reason = ""
    for shrinkage in ask.shrinkages:
        own = replace(request, shrinkage=shrinkage)
        neurons = ask.solves.neurons(f"{name} at {shrinkage}", partial(ask.method, moments, own))
        neurons = padded(neurons, moments, own)
        reason = neurons.reason
        same = [other for _, other in found if torch.equal(other.alpha, neurons.alpha)]
        if neurons.count == 0 or any(torch.equal(other.omega, neurons.omega) for other in same):
            continue
        found += [(shrinkage, each) for each in neurons.alternatives]
        if not neurons.mode.searched:
            break
    return found, reason


def _affordable(ask: SolveOptions, added: CostOf) -> int:
    """How many neurons the budget allows, at most as many as asked for."""
    if all(left == float("inf") for left in ask.room):
        return ask.request.neurons
    one, two = added(1), added(2)
    counts = [
        int((left - (first - (second - first))) // (second - first))
        for left, first, second in zip(ask.room, one, two, strict=True)
        if second > first and left < float("inf")
    ]
    return min((ask.request.neurons, *counts))


def _own_updates(
    place: Location, layout: SiteLayout, own: tuple[Tensor, ...], ask: SolveOptions
) -> tuple[WeightUpdate, ...]:
    """The updates that the method asks for, one for each reading.

    Only at children that no other child feeds, where what they read stays as it was.
    """
    children = [reading.edge.target for reading in layout.site.readings]
    first = _uppermost(place.base, children)
    return tuple(
        _update(place, child, _lasting(place, child), dW, ask)
        for child, dW in zip(children, own, strict=True)
        if child in first and place.base.node(child).merge == "sum"
    )


def _best_updates(
    place: Location, layout: SiteLayout, statistics: Statistics, ask: SolveOptions
) -> tuple[WeightUpdate, ...]:
    """The best updates of all children (thesis 3.20): of the edges that stay, whatever they read."""
    children = dict.fromkeys(reading.edge.target for reading in layout.site.readings)
    lasting = {child: _lasting(place, child) for child in children}
    return tuple(
        _update(place, child, edges, _best_update(place, child, edges, statistics, ask), ask)
        for child, edges in lasting.items()
        if edges
    )


def _update(place: Location, child: str, edges: tuple[EdgeId, ...], dW: Tensor, ask: SolveOptions) -> WeightUpdate:
    return WeightUpdate(child, split_update(place.base, child, dW, torch.float64, edges, ask.frozen))


def _best_update(
    place: Location, child: str, edges: tuple[EdgeId, ...], statistics: Statistics, ask: SolveOptions
) -> Tensor:
    solve = partial(solve_update, place.base, child, statistics.nodes[child], edges=edges, frozen=ask.frozen)
    return ask.solves.weights(f"update of {child} by {', '.join(map(str, edges))}", solve, again=True)


def _lasting(place: Location, child: str) -> tuple[EdgeId, ...]:
    return lasting_edges(place.base, place.dag, child)


def _uppermost(dag: Dag, children: Sequence[str]) -> tuple[str, ...]:
    return tuple(child for child in dict.fromkeys(children) if not dag.ancestors[child] & set(children))


def neuron_trial(
    network: Network,
    layout: SiteLayout,
    neurons: Neurons,
    moments: SiteMoments,
    normalisation: Normalisation,
    updates: tuple[WeightUpdate, ...] = (),
) -> Trial:
    """Neurons in matrix form as a change of amplitude 1, with the updates at the same part of their own size.

    The length of a fan-in is that on features of root mean square 1 (see `SiteMoments.lengths`), so that the unit of
    the features does not say how an amplitude is shared out between the sides.
    """
    dtype, alpha, omega = next(iter(network.parameters())).dtype, neurons.alpha, neurons.omega
    a, w = normalisation.factors(Sizes.of(neurons, moments))
    features = new_features(layout, alpha * a, omega * w, dtype)
    scaled = tuple(_cast(update.scaled(a * w), dtype) for update in updates)
    scaling = BothSides(1 / (a * w), _spread(neurons, moments) * a, given=normalisation.given)
    return Trial(network, layout.dag, Change(features, scaled), layout.site, scaling)


def _spread(neurons: Neurons, moments: SiteMoments) -> float:
    """Root mean square of their pre-activations."""
    return float(deviation(neurons.alpha, moments).square().mean().sqrt())


def fan_out_trial(
    network: Network, layout: SiteLayout, neurons: Neurons, lengths: Tensor, updates: tuple[WeightUpdate, ...] = ()
) -> Trial:
    """Neurons whose fan-in is fixed, as a change of unit size.

    Each neuron's two sides get the same norm if the activation lets them.
    """
    dtype, alpha, omega = next(iter(network.parameters())).dtype, neurons.alpha, neurons.omega
    nodes = [layout.dag.node(name) for name in (layout.site.node, *layout.site.passed)]
    # A norm makes up for the scale of the fan-in: only the other side would change.
    if all(ACTIVATIONS[node.activation].homogeneous and node.norm == "none" for node in nodes):
        a, w = (lengths.unsqueeze(1) * alpha).norm(dim=0), omega.norm(dim=1)
        balance = torch.where((a > 0) & (w > 0), (w / a).sqrt(), 1.0)
        alpha, omega = alpha * balance, omega / balance.unsqueeze(1)
    features = new_features(layout, alpha, omega, dtype)
    change = Change(features, tuple(_cast(update, dtype) for update in updates))
    return Trial(network, layout.dag, change, layout.site, FanOut())


def _cast(update: WeightUpdate, dtype: torch.dtype) -> WeightUpdate:
    return replace(update, weights={edge: weights.to(dtype) for edge, weights in update.weights.items()})
