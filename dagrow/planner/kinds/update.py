"""The best update of the existing weights into a node."""

from __future__ import annotations

from collections.abc import Sequence

from dagrow.build import Network
from dagrow.graph import Cost, Dag, FixedSize, NodeTemplate
from dagrow.mutation import Change, WeightUpdate
from dagrow.planner.kinds.base import Ask, Draft, Kind, Place, Variant, best_update
from dagrow.planner.simulated_change import Trial
from dagrow.statistics import SiteLayout, Statistics, Target, split_update, weighted_edges


class Update(Kind):
    """The best update of the existing weights into a node; adds nothing."""

    name = "update"

    def places(self, dag: Dag, templates: Sequence[NodeTemplate]) -> list[Place | FixedSize]:
        return [self._place(dag, node) for node in dag.order]

    def _place(self, dag: Dag, node: str) -> Place | FixedSize:
        edges = weighted_edges(dag, node)
        if not edges:
            return FixedSize(node, "no edge with weights writes it")
        for edge in edges:
            if not dag.op(edge).has_layout:
                return FixedSize(node, f"op '{dag.op(edge).name}' of {edge} has no statistics (features)")
        return Place(node, dag, node, targets=(node,))

    def needed(self, place: Place, pointwise: bool) -> tuple[tuple[Target, ...], tuple[SiteLayout, ...]]:
        return (Target(place.node),), ()

    def draft(self, network: Network, place: Place, statistics: Statistics, ask: Ask) -> Draft:
        dtype = next(iter(network.parameters())).dtype
        variants = []
        for shrinkage in ask.shrinkages:
            dW = best_update(place, place.node, statistics, ask, shrinkage)
            if not bool((dW != 0).any()):
                continue
            update = WeightUpdate(place.node, split_update(place.dag, place.node, dW, dtype, frozen=ask.frozen))
            trial = Trial(network, place.dag, Change(updates=(update,)))
            variants.append(Variant(trial, shrinkage, (), 0.0, 0, Cost(0, 0)))
        return Draft(self.name, place.label, tuple(variants), "" if variants else "nothing to update")
