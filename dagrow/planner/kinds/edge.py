"""A new edge between two nodes, with the best weights that it can have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight
from dagrow.graph import Dag, NodeTemplate, NotGrowable, new_edge
from dagrow.methods import EdgeFormula, EdgeMoments
from dagrow.mutation import Change, WeightUpdate
from dagrow.planner.kinds.base import CandidateType, Location, Proposal, Solution, SolveOptions, best_update
from dagrow.planner.scaling import AtBound
from dagrow.planner.simulated_change import Trial
from dagrow.statistics import (
    NodeMoments,
    SiteLayout,
    Statistics,
    UpdateTarget,
    edge_widths,
    split_update,
)

LEAST = 1e-4
"""Relative to the root of ``E||v_goal||^2``: an edge that explains less is not told from rounding."""


class NewEdge(CandidateType):
    """A new edge ``u -> v``.

    Its weights are what it adds to the joint best update of all edges into v: the edges that are there make room
    for it, so that exactly the part of its features that they cannot express is new.
    """

    name = "edge"
    screened = True
    used_up = "every edge that could lead into it is there already"

    def places(self, dag: Dag, templates: Sequence[NodeTemplate]) -> list[Location | NotGrowable]:
        kernels = tuple(dict.fromkeys(template.kernel for template in templates))
        found: list[Location | NotGrowable] = []
        for u in (*dag.spec.inputs, *dag.order):
            for v in dag.order:
                if u == v or v in dag.ancestors[u] or (u, v) in dag.spec.edges:
                    continue
                seen: list[object] = []
                for kernel in kernels:
                    structure = new_edge(dag, u, v, kernel)
                    if structure in seen:
                        continue
                    seen.append(structure)
                    label = f"{u} -> {v}" + (f", kernel {kernel}" if len(seen) > 1 else "")
                    if isinstance(structure, str):
                        found.append(NotGrowable(label, structure))
                    else:
                        found.append(
                            Location(label, dag, v, (u,), (v,), structure, template=NodeTemplate(kernel=kernel))
                        )
        return found

    def needed(self, place: Location, pointwise: bool) -> tuple[tuple[UpdateTarget, ...], tuple[SiteLayout, ...]]:
        return (UpdateTarget(place.node), UpdateTarget(place.node, place.dag, place.label)), ()

    def draft(self, network: Network, place: Location, statistics: Statistics, ask: SolveOptions) -> Proposal:
        dtype, added = next(iter(network.parameters())).dtype, place.cost()
        if any(more > left for more, left in zip(added, ask.room, strict=True)):
            return Proposal(self.name, place.label, (), "over the budget")
        before, after = statistics.nodes[place.node], statistics.nodes[place.label]
        if ask.method.edge is not None:
            return self._as_made(network, place, before, after, ask, ask.method.edge)
        variants = []
        for shrinkage in ask.shrinkages:
            old = best_update(place, place.node, statistics, ask, shrinkage)
            new = best_update(place, place.label, statistics, ask, shrinkage)
            own = new.shape[1] - old.shape[1]
            # The new edge is the last, before the constant.
            dW = new - torch.cat([old[:, :-1], old.new_zeros(len(old), own), old[:, -1:]], dim=1)
            score, noise = self._scores(new, after, old, before, statistics.samples)
            if score <= max(ask.request.significance * noise, LEAST * before.v_goal_squared**0.5):
                continue
            update = WeightUpdate(place.node, split_update(place.dag, place.node, dW, dtype, frozen=ask.frozen))
            trial = Trial(network, place.dag, Change(updates=(update,), structure=place.structure))
            variants.append(Solution(trial, shrinkage, (score,), noise, 0, added))
        return Proposal(self.name, place.label, tuple(variants), "" if variants else "explains nothing above the noise")

    def _as_made(
        self,
        network: Network,
        place: Location,
        before: NodeMoments,
        after: NodeMoments,
        ask: SolveOptions,
        make: EdgeFormula,
    ) -> Proposal:
        """The edge with the weights that the method gives it, beside the others as they are."""
        edge, width = list(edge_widths(place.dag, place.node).items())[-1]
        slot, own = place.dag.slots(place.node)[edge], slice(len(after.S) - 1 - width, len(after.S) - 1)
        moments = EdgeMoments(
            after.N[own, slot], after.S.diagonal()[own], before.v_goal_squared, _written(network, place, before),
            after.precision,
        )  # fmt: skip
        found = make(moments, ask.request)
        if found is None:
            return Proposal(self.name, place.label, (), "the gradient of its weights is 0")
        dW = after.N.new_zeros(after.N.shape[1], len(after.S))
        dW[slot, own] = found.weight
        weights = split_update(place.dag, place.node, dW, next(iter(network.parameters())).dtype)
        change = Change(updates=(WeightUpdate(place.node, {edge: weights[edge]}),), structure=place.structure)
        trial = Trial(network, place.dag, change, scaling=AtBound())
        return Proposal(self.name, place.label, (Solution(trial, 0.0, (found.score,), 0.0, 0, place.cost()),))

    @staticmethod
    def _scores(dW: Tensor, new: NodeMoments, old_dW: Tensor, old: NodeMoments, samples: int) -> tuple[float, float]:
        """What the edge explains of the desired update beyond the others, as a root, and what chance may explain."""
        before = float((old_dW.T * old.N).sum())
        drop = float((dW.T * new.N).sum()) - before
        own = dW.shape[1] - old_dW.shape[1]
        chance = own / max(1, samples) * max(0.0, old.v_goal_squared - before)
        # Chance explains that much on average, with the spread of a chi-square: two deviations more are rare.
        return max(0.0, drop) ** 0.5, (chance * (1 + 2 * (2 / own) ** 0.5)) ** 0.5


def _written(network: Network, place: Location, moments: NodeMoments) -> float:
    """Root of the sum of squares of the weights into a node, each times the mean square of its feature."""
    state, squares, start, total = network.state_dict(), moments.S.diagonal(), 0, 0.0
    for edge, width in edge_widths(place.base, place.node).items():
        op = place.base.op(edge)
        rows = op.weight_to_rows(EdgeWeight.read(state, op, edge).weight).double()
        # A grouped weight holds the columns of its group only: their mean stands for them.
        own = squares[start : start + width]
        total += float((rows.square() @ own if rows.shape[1] == width else rows.square().sum() * own.mean()).sum())
        start += width
    return float(total**0.5)
