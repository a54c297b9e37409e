"""Drafts of candidates: what each kind of insertion would try, from one shared look at the data.

A new kind is a class with two functions and a line in `KINDS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.graph import Cost, Dag, FixedSize, Site, cost, site
from dagrow.methods import Method, Request
from dagrow.mutation import Change, NewFeatures, WeightUpdate, widened_spec
from dagrow.planner.trial import Trial
from dagrow.statistics import SiteLayout, Statistics, solve_update, split_update, weighted_edges


@dataclass(frozen=True)
class Ask:
    """What is asked of every draft.

    Attributes:
        method: makes the neurons.
        request: how many, and what counts as significant.
        shrinkages: each is tried; the held-out loss chooses.
        with_update: new neurons bring the best update of their children's weights along, at one amplitude.
        room: parameters and multiply-adds that may still be added; None for no limit.
    """

    method: Method
    request: Request
    shrinkages: tuple[float, ...]
    with_update: bool = False
    room: tuple[float, float] = (float("inf"), float("inf"))


@dataclass(frozen=True)
class Variant:
    """One way to fill a draft: a trial with the shrinkage and the scores that it came from."""

    trial: Trial
    shrinkage: float
    scores: tuple[float, ...]
    noise_level: float
    neurons: int
    cost: Cost


@dataclass(frozen=True)
class Draft:
    """An insertion to be measured.

    Attributes:
        kind: of insertion.
        place: node or edge.
        variants: ways to make it; empty when there is nothing to try.
        reason: why there is nothing to try.
    """

    kind: str
    place: str
    variants: tuple[Variant, ...]
    reason: str = ""


class Kind(ABC):
    """One kind of insertion."""

    name: ClassVar[str]

    @abstractmethod
    def places(self, dag: Dag) -> tuple[Site | FixedSize, ...]:
        """Everywhere it could happen, and where it cannot and why."""

    @abstractmethod
    def needs(self, dag: Dag, places: Sequence[Site]) -> tuple[tuple[str, ...], tuple[Site, ...]]:
        """Nodes and sites whose statistics it needs."""

    @abstractmethod
    def draft(self, network: Network, dag: Dag, place: Site, statistics: Statistics, ask: Ask) -> Draft:
        """What to try at one place."""


class Widen(Kind):
    """More features at a node."""

    name = "widen"

    def places(self, dag: Dag) -> tuple[Site | FixedSize, ...]:
        return tuple(site(dag, node) for node in dag.order)

    def needs(self, dag: Dag, places: Sequence[Site]) -> tuple[tuple[str, ...], tuple[Site, ...]]:
        return (), tuple(places)

    def draft(self, network: Network, dag: Dag, place: Site, statistics: Statistics, ask: Ask) -> Draft:
        each = cost(Dag.of(widened_spec(dag, place.node, 1))).minus(cost(dag))
        room = min(
            (
                int(left // extra)
                for left, extra in zip(ask.room, each, strict=True)
                if extra > 0 and left < float("inf")
            ),
            default=ask.request.neurons,
        )
        if room < 1:
            return Draft(self.name, place.node, (), "over the budget")
        request = replace(ask.request, neurons=min(room, ask.request.neurons))
        updates = self._updates(dag, place, statistics) if ask.with_update else ()
        variants = []
        for shrinkage in ask.shrinkages:
            neurons = ask.method(statistics.sites[place.node], replace(request, shrinkage=shrinkage))
            if neurons.count == 0:
                continue
            trial = _neuron_trial(network, dag, statistics.layouts[place.node], neurons.alpha, neurons.omega, updates)
            added = cost(Dag.of(widened_spec(dag, place.node, neurons.count))).minus(cost(dag))
            scores = tuple(neurons.scores.tolist())
            variants.append(Variant(trial, shrinkage, scores, neurons.noise_level, neurons.count, added))
        reason = "" if variants else "no singular value above the noise"
        return Draft(self.name, place.node, tuple(variants), reason)

    def _updates(self, dag: Dag, place: Site, statistics: Statistics) -> tuple[WeightUpdate, ...]:
        """Best updates of the children that no other child feeds: there the cached inputs stay valid."""
        children = list(dict.fromkeys(reading.edge.target for reading in place.readings))
        below: set[str] = set()
        for name in dag.order:
            if any(edge.source in below or edge.source in children for edge in dag.incoming[name]):
                below.add(name)
        found = []
        for child in children:
            if child not in below:
                dW = solve_update(dag, child, statistics.nodes[child])
                found.append(WeightUpdate(child, split_update(dag, child, dW, torch.float64)))
        return tuple(found)


class Update(Kind):
    """The best update of the existing weights into a node; adds nothing."""

    name = "update"

    def places(self, dag: Dag) -> tuple[Site | FixedSize, ...]:
        return tuple(self._place(dag, node) for node in dag.order)

    def _place(self, dag: Dag, node: str) -> Site | FixedSize:
        edges = weighted_edges(dag, node)
        if not edges:
            return FixedSize(node, "no edge with weights writes it")
        for edge in edges:
            if not dag.op(edge).has_layout:
                return FixedSize(node, f"op '{dag.op(edge).name}' of {edge} has no statistics (features)")
        return Site(node, ())

    def needs(self, dag: Dag, places: Sequence[Site]) -> tuple[tuple[str, ...], tuple[Site, ...]]:
        return tuple(place.node for place in places), ()

    def draft(self, network: Network, dag: Dag, place: Site, statistics: Statistics, ask: Ask) -> Draft:
        dtype = next(iter(network.parameters())).dtype
        variants = []
        for shrinkage in ask.shrinkages:
            dW = solve_update(dag, place.node, statistics.nodes[place.node], shrinkage)
            if not bool((dW != 0).any()):
                continue
            update = WeightUpdate(place.node, split_update(dag, place.node, dW, dtype))
            trial = Trial(network, dag, Change(updates=(update,)))
            variants.append(Variant(trial, shrinkage, (), 0.0, 0, Cost(0, 0)))
        return Draft(self.name, place.node, tuple(variants), "" if variants else "nothing to update")


KINDS: dict[str, Kind] = {kind.name: kind for kind in (Widen(), Update())}


def _neuron_trial(
    network: Network,
    dag: Dag,
    layout: SiteLayout,
    alpha: Tensor,
    omega: Tensor,
    updates: tuple[WeightUpdate, ...],
) -> Trial:
    """Neurons in matrix form as a change of unit size: both sides normalised together (thesis 4.17).

    With updates along, the unit is the method's own scale instead: the update's size is part of it.
    """
    dtype = next(iter(network.parameters())).dtype
    if not layout.has_bias:
        alpha = torch.cat([alpha, alpha.new_zeros(1, alpha.shape[1])])
    K = omega.shape[0]
    a, w = (float(x.square().sum() / K) ** 0.5 or 1.0 for x in (alpha, omega))
    scale = a * w
    features = NewFeatures(
        layout.site.node,
        layout.split_fan_in(alpha / a, dtype),
        layout.split_fan_out(omega / w, dtype),
        layout.site.passed,
    )
    scaled = tuple(
        WeightUpdate(
            u.node,
            {
                e: (p[0].to(dtype), None if p[1] is None else p[1].to(dtype))
                for e, p in u.scaled(1 / scale).weights.items()
            },
        )
        for u in updates
    )
    return Trial(network, dag, Change(features, scaled), layout.site, scale)
