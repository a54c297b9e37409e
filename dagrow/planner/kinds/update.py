"""The best update of the existing weights into a node."""

from __future__ import annotations

from collections.abc import Sequence

from dagrow.build import Network
from dagrow.graph import Cost, Dag, NodeTemplate, NotGrowable
from dagrow.mutation import Change, WeightUpdate
from dagrow.planner.kinds.base import CandidateType, Location, Proposal, Solution, SolveOptions, best_update
from dagrow.planner.scaling import Moved
from dagrow.planner.simulated_change import Trial
from dagrow.statistics import SiteLayout, Statistics, UpdateTarget, split_update, weighted_edges


class Update(CandidateType):
    """The best update of the existing weights into a node; adds nothing."""

    name = "update"
    grows = False
    rivals_growth = True
    used_up = "no edge with weights leads into a node"

    def places(self, dag: Dag, templates: Sequence[NodeTemplate]) -> list[Location | NotGrowable]:
        return [self._place(dag, node) for node in dag.order]

    def _place(self, dag: Dag, node: str) -> Location | NotGrowable:
        edges = weighted_edges(dag, node)
        if not edges:
            return NotGrowable(node, "no edge with weights writes it")
        for edge in edges:
            if not dag.op(edge).has_layout:
                return NotGrowable(node, f"op '{dag.op(edge).name}' of {edge} has no statistics (features)")
        return Location(node, dag, node, targets=(node,))

    def needed(self, place: Location, pointwise: bool) -> tuple[tuple[UpdateTarget, ...], tuple[SiteLayout, ...]]:
        return (UpdateTarget(place.node),), ()

    def draft(self, network: Network, place: Location, statistics: Statistics, ask: SolveOptions) -> Proposal:
        dtype = next(iter(network.parameters())).dtype
        variants = []
        for shrinkage in ask.shrinkages:
            dW = best_update(place, place.node, statistics, ask, shrinkage)
            if not bool((dW != 0).any()):
                continue
            update = WeightUpdate(place.node, split_update(place.dag, place.node, dW, dtype, frozen=ask.frozen))
            trial = Trial(network, place.dag, Change(updates=(update,)), scaling=Moved())
            variants.append(Solution(trial, shrinkage, (), 0.0, 0, Cost(0, 0)))
        return Proposal(self.name, place.label, tuple(variants), "" if variants else "nothing to update")
