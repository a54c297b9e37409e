"""An edge replaced by a node that keeps its function, and new neurons in that node: depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight
from dagrow.graph import Cost, Dag, GrowableNode, NodeTemplate, NotGrowable, split_edge
from dagrow.mutation import Change, Constant, NewFeatures, WeightUpdate
from dagrow.ops import ACTIVATIONS, Activation
from dagrow.planner.kinds.base import CandidateType, Location, Proposal, Solution, SolveOptions
from dagrow.planner.kinds.neurons import draft_neurons
from dagrow.planner.scaling import Preserved
from dagrow.planner.simulated_change import Trial
from dagrow.spec.graph import EdgeId
from dagrow.statistics import SiteLayout, Statistics, UpdateTarget

SMALL = 0.01
"""Size of values at which an activation that is a line nowhere is used as if it were one."""

FAR = 5.0
"""Root mean squares by which values are shifted into the part where an activation is a line."""


class NewLayer(CandidateType):
    """``u -> v`` becomes ``u -> h -> v``.

    h holds units that hand on what the edge wrote, and new neurons beside them; see `Activation.line`. Pairs of
    units do that exactly, other activations nearly so; the loss of that is part of the measured gain.
    """

    name = "layer"
    makes_nodes = True
    screened = True

    def places(self, dag: Dag, templates: Sequence[NodeTemplate]) -> list[Location | NotGrowable]:
        activations = tuple(dict.fromkeys(template.activation for template in templates))
        found: list[Location | NotGrowable] = []
        for edge in (edge for edge, op in dag.spec.edges.items() if op.parametrised):
            for activation in activations:
                label = f"{edge.source} -> new -> {edge.target} (replacing {edge}"
                label += f", {activation})" if len(activations) > 1 else ")"
                found.append(_cheaper_split(dag, edge, NodeTemplate(activation), label))
        return found

    def needed(self, place: Location, pointwise: bool) -> tuple[tuple[UpdateTarget, ...], tuple[SiteLayout, ...]]:
        assert isinstance(place.site, GrowableNode)
        return (), (SiteLayout(place.dag, place.site, pointwise, place.label),)

    def draft(self, network: Network, place: Location, statistics: Statistics, ask: SolveOptions) -> Proposal:
        assert isinstance(place, EdgeSplit)
        kept, constant = place.kept, _same_function(network, place, statistics)

        def added(count: int) -> Cost:
            return place.cost(kept + count)

        if ask.method.supports_identity_layer:
            return _identity(self.name, network, place, statistics, ask, constant)
        return draft_neurons(self.name, network, place, statistics, ask, added, constant, kept)


def _identity(
    kind: str, network: Network, place: EdgeSplit, statistics: Statistics, ask: SolveOptions, constant: Constant
) -> Proposal:
    """The layer with nothing in it but the units that keep the function: Net2Net's deeper net."""
    added = place.cost(place.kept)
    if place.function.line == "small":
        return Proposal(kind, place.label, (), f"'{place.function.name}' keeps a function nearly, not exactly")
    if any(more > left for more, left in zip(added, ask.room, strict=True)):
        return Proposal(kind, place.label, (), "over the budget")
    assert place.structure is not None
    layout = statistics.layouts[place.label]
    change = Change(structure=place.structure.with_size(place.node, place.kept), constant=constant)
    trial = Trial(network, layout.dag, change, layout.site, Preserved())
    return Proposal(kind, place.label, (Solution(trial, 0.0, (), 0.0, 0, added),))


@dataclass(frozen=True)
class EdgeSplit(Location):
    """An edge that a node replaces.

    Attributes:
        early: whether the old weights go before the new node, or behind it.
    """

    early: bool = True

    @property
    def function(self) -> Activation:
        """The activation of the new node."""
        return ACTIVATIONS[self.template.activation]

    @property
    def values(self) -> int:
        """How many values are handed on at each position."""
        assert self.structure is not None
        size = self.structure.nodes[self.node].size
        assert size is not None
        return size

    @property
    def kept(self) -> int:
        """How many units hand them on."""
        return 2 * self.values if self.function.line == "pairs" else self.values


def _cheaper_split(dag: Dag, edge: EdgeId, template: NodeTemplate, label: str) -> Location | NotGrowable:
    """The way with fewer parameters to replace an edge."""
    places, reasons = [], []
    for early in (True, False):
        structure = split_edge(dag, edge, template, early)
        if isinstance(structure, str):
            reasons.append(structure)
            continue
        ends = (edge.source,), (edge.target,)
        places.append(EdgeSplit(label, dag, next(iter(structure.nodes)), *ends, structure, edge, template, early))
    if not places:
        return NotGrowable(label, reasons[0])
    return min(places, key=_parameters)


def _parameters(place: EdgeSplit) -> int:
    """Of the two new edges, without the graph being made: places are many."""
    assert place.structure is not None
    assert place.edge is not None
    base, edge = place.base, place.edge
    shape = (base.written(edge) if place.early else base.output(edge.source)).with_channels(place.kept)
    first, second = place.structure.edges.values()
    return first.parameter_count(base.output(edge.source), shape) + second.parameter_count(shape, base.written(edge))


def _same_function(network: Network, place: EdgeSplit, statistics: Statistics) -> Constant:
    """The units that hand on what the replaced edge wrote or read, and its removal."""
    (into,), (out,) = place.dag.incoming[place.node], place.dag.outgoing[place.node]
    assert place.edge is not None
    replaced = EdgeWeight.read(network.state_dict(), place.base.op(place.edge), place.edge)
    W, bias = replaced
    eye = torch.eye(place.values, dtype=W.dtype, device=W.device)
    if place.early:
        rows, offset = W, eye.new_zeros(place.values) if bias is None else bias
        columns, constant = place.dag.op(out).rows_to_weight(eye, place.dag.merged(place.node)), eye.new_zeros(len(W))
    else:
        rows, offset = (
            place.dag.op(into).rows_to_weight(eye, place.dag.output(into.source)),
            eye.new_zeros(place.values),
        )
        columns, constant = W, eye.new_zeros(len(W)) if bias is None else bias
    signs, scale, shift, gain = _units(place, _rms(rows, offset, statistics, place))
    fan_in = torch.cat([rows * _first(scale * sign, rows) for sign in signs])
    fan_in_bias = torch.cat([(offset * sign + shift) * scale for sign in signs])
    fan_out = torch.cat([columns * (sign * gain / scale).view(1, -1, *[1] * (columns.dim() - 2)) for sign in signs], 1)
    if place.early:
        constant = constant - shift
    weights = EdgeWeight(fan_in, fan_in_bias if place.dag.op(into).has_bias else None)
    features = NewFeatures(place.node, {into: weights}, {out: fan_out})
    removal = WeightUpdate(place.edge.target, {place.edge: -replaced})
    return Constant(features, (removal,), {out: constant} if place.dag.op(out).has_bias else {})


def _units(place: EdgeSplit, rms: Tensor) -> tuple[tuple[float, ...], Tensor, Tensor, float]:
    """Signs of the units of each value, and per value the factor before the activation, the shift, and the gain behind.

    A value z comes back as the sum over signs of ``sign * gain / scale * act(scale * (sign * z + shift)) - shift``.
    """
    act, one = place.function, torch.ones_like(rms)
    if act.line == "exact":
        return (1.0,), one, 0 * one, 1.0
    if act.line == "pairs":
        return (1.0, -1.0), one, 0 * one, 1 / (act.slope_left + act.slope_right)
    if act.line == "shifted":
        return (1.0,), one, FAR * rms, 1 / act.slope_right
    return (1.0,), SMALL / rms.clamp(min=torch.finfo(rms.dtype).tiny), 0 * one, 1 / act.slope_right


def _rms(rows: Tensor, offset: Tensor, statistics: Statistics, place: EdgeSplit) -> Tensor:
    """Root mean square of each value over samples and positions."""
    layout, S = statistics.layouts[place.label], statistics.sites[place.label].S
    (into,) = place.dag.incoming[place.node]
    alpha = place.dag.op(into).weight_to_rows(rows).double().T
    if layout.has_bias:
        alpha = torch.cat([alpha, offset.double().unsqueeze(0)])
    counted = sum(float(weights.sum()) for weights in layout.images.values())
    return ((alpha * (S @ alpha)).sum(0) / counted).clamp(min=0).sqrt().to(rows.dtype)


def _first(factors: Tensor, rows: Tensor) -> Tensor:
    return factors.view(-1, *[1] * (rows.dim() - 1))
