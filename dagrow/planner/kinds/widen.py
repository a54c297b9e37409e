"""More features at a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dagrow.build import Network
from dagrow.graph import Cost, Dag, GrowableNode, NodeTemplate, NotGrowable, cost, site
from dagrow.mutation import widened_spec
from dagrow.planner.kinds.base import CandidateType, Location, Proposal, SolveOptions
from dagrow.planner.kinds.neurons import draft_neurons
from dagrow.statistics import SiteLayout, Statistics, UpdateTarget


class Widen(CandidateType):
    """More features at a node."""

    name = "widen"
    competes = True

    def places(self, dag: Dag, templates: Sequence[NodeTemplate]) -> list[Location | NotGrowable]:
        found = [site(dag, node) for node in dag.order]
        return [_place(dag, place) if isinstance(place, GrowableNode) else place for place in found]

    def needed(self, place: Location, pointwise: bool) -> tuple[tuple[UpdateTarget, ...], tuple[SiteLayout, ...]]:
        assert isinstance(place.site, GrowableNode)
        return (), (SiteLayout(place.dag, place.site, pointwise, place.label),)

    def draft(self, network: Network, place: Location, statistics: Statistics, ask: SolveOptions) -> Proposal:
        def added(count: int) -> Cost:
            return cost(Dag.of(widened_spec(place.dag, place.node, count))).minus(cost(place.dag))

        limit, size = ask.options.max_width, place.dag.size(place.node)
        if limit is not None and size >= limit:
            return Proposal(self.name, place.label, (), f"full: it has {size} features, max_width is {limit}")
        if limit is not None:
            ask = replace(ask, request=replace(ask.request, neurons=min(ask.request.neurons, limit - size)))
        return draft_neurons(self.name, network, place, statistics, ask, added)


def _place(dag: Dag, growing: GrowableNode) -> Location:
    children = tuple(dict.fromkeys(reading.edge.target for reading in growing.readings))
    return Location(growing.node, dag, growing.node, targets=children)
