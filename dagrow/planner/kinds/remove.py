"""A whole edge or node taken away, what remains compensating as well as it can: the mirror of insertion."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight
from dagrow.errors import SpecError
from dagrow.graph import Dag, NodeTemplate, NotGrowable, Structure
from dagrow.methods import Metric
from dagrow.mutation import Change, Constant, WeightUpdate
from dagrow.planner.kinds.base import CandidateType, Location, Proposal, Solution, SolveOptions
from dagrow.planner.scaling import Removed
from dagrow.planner.simulated_change import Trial
from dagrow.spec.graph import EdgeId
from dagrow.statistics import (
    SiteLayout,
    Statistics,
    UpdateTarget,
    bias_is_trained,
    edge_widths,
    split_update,
    units_of,
    weight_is_frozen,
)


class Remove(CandidateType):
    """An edge with weights, or a node with all its edges.

    The remaining edges into each child take over what they can of what it loses (least squares). The loss may rise
    by `ProposalOptions.prune_tolerance` at most.
    """

    name = "remove"
    grows = False

    def places(self, dag: Dag, templates: Sequence[NodeTemplate]) -> list[Location | NotGrowable]:
        edges = [edge for edge, op in dag.spec.edges.items() if op.parametrised]
        nodes = [name for name in dag.order if name not in dag.spec.outputs]
        found = [_place(dag, str(edge), (edge,), Structure(removed_edges=(edge,)), edge) for edge in edges]
        for name in nodes:
            found.append(_place(dag, name, dag.outgoing[name], Structure(removed_nodes=(name,)), None))
        return found

    def needed(self, place: Location, pointwise: bool) -> tuple[tuple[UpdateTarget, ...], tuple[SiteLayout, ...]]:
        return tuple(UpdateTarget(name) for name in place.targets), ()

    def draft(self, network: Network, place: Location, statistics: Statistics, ask: SolveOptions) -> Proposal:
        updates, shrinkage = [], min(ask.shrinkages)
        for edge in _lost(place):
            moments = statistics.nodes[edge.target]
            lost = EdgeWeight.read(network.state_dict(), place.base.op(edge), edge)
            W, bias = lost
            solve = partial(_compensation, place, edge, moments.S, W, bias, shrinkage, ask.frozen)
            dW = ask.solves.weights(f"compensation of {edge} without {place.label} at {shrinkage}", solve)
            found = split_update(place.dag, edge.target, dW, torch.float64, frozen=ask.frozen)
            weights = {other: own.to(W.dtype) for other, own in found.items()}
            updates.append(WeightUpdate(edge.target, {edge: -lost, **weights}))
        change = Change(structure=place.structure, constant=Constant(updates=tuple(updates)))
        trial = Trial(network, place.dag, change, scaling=Removed(ask.options.prune_tolerance))
        variant = Solution(trial, shrinkage, (), 0.0, 0, place.cost())
        return Proposal(self.name, place.label, (variant,))


def _lost(place: Location) -> tuple[EdgeId, ...]:
    """The edges whose effect on a child is lost."""
    return (place.edge,) if place.edge is not None else place.base.outgoing[place.label]


def _place(
    dag: Dag, label: str, lost: Sequence[EdgeId], structure: Structure, edge: EdgeId | None
) -> Location | NotGrowable:
    children = tuple(dict.fromkeys(e.target for e in lost))
    for e in lost:
        others = [other for other in dag.incoming[e.target] if other != e]
        if dag.node(e.target).merge == "concat":
            return NotGrowable(label, f"'{e.target}' is a concat: its size would change")
        if not dag.op(e).parametrised:
            return NotGrowable(label, f"the {dag.op(e).name} edge {e} has no weights to be taken over")
        if any(not dag.op(o).has_layout or dag.op(o).output_groups > 1 for o in (e, *others) if dag.op(o).parametrised):
            return NotGrowable(label, f"an edge into '{e.target}' has no statistics")
        if dag.ancestors[e.target] & set(children):
            return NotGrowable(label, "its children feed one another")
    place = Location(label, dag, children[0], targets=children, structure=structure, edge=edge)
    try:
        _ = place.dag
    except SpecError as error:
        return NotGrowable(label, error.problems[0].message)
    return place


def _compensation(
    place: Location,
    lost: EdgeId,
    S: Tensor,
    W: Tensor,
    bias: Tensor | None,
    shrinkage: float,
    frozen: Container[str] = (),
) -> Tensor:
    """``[M, F]`` over what remains at the child: the best fit of what the lost edge wrote."""
    index = {}
    start = 0
    for edge, width in edge_widths(place.base, lost.target).items():
        index[edge] = torch.arange(start, start + width, device=S.device)
        start += width
    constant = torch.tensor([start], device=S.device)
    gone = index.pop(lost)
    rest = torch.cat([*index.values(), constant])
    trained = [torch.full((len(i),), not weight_is_frozen(edge, frozen)) for edge, i in index.items()]
    carried = torch.tensor([any(bias_is_trained(place.base, edge, frozen) for edge in index)])
    may_change = torch.cat([*trained, carried]).to(S.device)
    used = rest[may_change]
    rows = place.base.op(lost).weight_to_rows(W).double()
    cross = S[used][:, gone] @ rows.T
    if bias is not None:
        cross = cross + S[used][:, constant] @ bias.double().unsqueeze(0)
    dW = rows.new_zeros(len(rows), len(rest))
    if used.numel():
        units = units_of(place.base, tuple(edge_widths(place.base, lost.target))).to(S.device)[used]
        dW[:, may_change] = Metric(S[used][:, used], shrinkage, units=units).solve(cross).T
    return dW
