"""More features at a node."""

from __future__ import annotations

from collections.abc import Sequence

from dagrow.build import Network
from dagrow.graph import Cost, Dag, FixedSize, NodeTemplate, Site, cost, site
from dagrow.mutation import widened_spec
from dagrow.planner.kinds.base import Ask, Draft, Kind, Place
from dagrow.planner.kinds.neurons import draft_neurons
from dagrow.statistics import SiteLayout, Statistics, Target


class Widen(Kind):
    """More features at a node."""

    name = "widen"
    competes = True

    def places(self, dag: Dag, templates: Sequence[NodeTemplate]) -> list[Place | FixedSize]:
        found = [site(dag, node) for node in dag.order]
        return [_place(dag, place) if isinstance(place, Site) else place for place in found]

    def needed(self, place: Place, pointwise: bool) -> tuple[tuple[Target, ...], tuple[SiteLayout, ...]]:
        assert isinstance(place.site, Site)
        return (), (SiteLayout(place.dag, place.site, pointwise, place.label),)

    def draft(self, network: Network, place: Place, statistics: Statistics, ask: Ask) -> Draft:
        def added(count: int) -> Cost:
            return cost(Dag.of(widened_spec(place.dag, place.node, count))).minus(cost(place.dag))

        return draft_neurons(self.name, network, place, statistics, ask, added)


def _place(dag: Dag, growing: Site) -> Place:
    children = tuple(dict.fromkeys(reading.edge.target for reading in growing.readings))
    return Place(growing.node, dag, growing.node, targets=children)
