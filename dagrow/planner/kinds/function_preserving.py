"""Function-preserving insertions (zero fan-in or fan-out, or split neurons): no line search.

They have a side that is empty or small, or are copies that share a fan-out.

There is nothing to search. They are inserted as the method made them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight, EdgeWeights
from dagrow.build.norm_entries import norm_entries, norm_entries_of
from dagrow.methods import Neurons, SmallFanOut, SplitNeurons, ZeroFanIn
from dagrow.mutation import Change, NewFeatures, WeightUpdate, columns_of
from dagrow.ops import ACTIVATIONS, NORMS
from dagrow.planner.kinds.existing import weights_of
from dagrow.planner.kinds.features import new_features
from dagrow.planner.scaling import Preserved, PreservedFanIn
from dagrow.planner.simulated_change import Trial
from dagrow.statistics import SiteLayout

LIFT = 1e-12
"""A pre-activation above 0, and as good as 0: small against any that training makes."""


def function_preserving_trial(network: Network, layout: SiteLayout, neurons: Neurons) -> Trial:
    """Neurons in matrix form as a change without an amplitude."""
    dtype, mode, scaling = next(iter(network.parameters())).dtype, neurons.mode, Preserved()
    if isinstance(mode, SplitNeurons):
        change = _copies(network, layout, neurons, mode.parents, dtype)
    elif isinstance(mode, ZeroFanIn) and mode.initial_gradient is not None:
        change = Change(_lifted(layout, neurons, mode.initial_gradient, dtype))
    else:
        change = Change(new_features(layout, neurons.alpha, neurons.omega, dtype))
        scaling = PreservedFanIn() if isinstance(mode, SmallFanOut) else scaling
    return Trial(network, layout.dag, change, layout.site, scaling)


def function_change_reason(layout: SiteLayout, neurons: Neurons) -> str:
    """Why neurons with a fan-in of 0 would change something: they put out what their activation makes of 0.

    Empty if they do not, or have a fan-in.
    """
    if isinstance(neurons.mode, SplitNeurons) or bool(neurons.alpha.any()):
        return ""
    for name in (layout.site.node, *layout.site.passed):
        activation = layout.dag.node(name).activation
        if ACTIVATIONS[activation].at_zero != 0:
            return f"its neurons start with a fan-in of 0, and '{activation}' of '{name}' is not 0 there"
    return ""


def _lifted(layout: SiteLayout, neurons: Neurons, initial_gradient: Tensor, dtype: torch.dtype) -> NewFeatures:
    """Neurons with a fan-in of 0, lifted off the kink of their activations, if they have one.

    By the norm's bias if there is a norm, by the neuron's own if it has one, else by a fan-in of no size in the
    direction that its gradient will take.
    """
    alpha, learned = neurons.alpha, {}
    nodes = {name: layout.dag.node(name) for name in (layout.site.node, *layout.site.passed)}
    lifted = [name for name, node in nodes.items() if ACTIVATIONS[node.activation].needs_lift]
    if lifted:
        for name in lifted:
            norm = nodes[name].norm
            if norm != "none" and NORMS[norm].parameters_per_feature:
                one = alpha.new_ones(_entries(layout, name) * neurons.count)
                learned[name] = (one.to(dtype), (LIFT * one).to(dtype))
        if layout.has_bias:
            alpha = torch.cat([alpha[:-1], alpha[-1:] + LIFT])
        else:
            alpha = alpha + LIFT * initial_gradient / initial_gradient.norm(dim=0)
    return replace(new_features(layout, alpha, neurons.omega, dtype), learned=learned)


def _entries(layout: SiteLayout, name: str) -> int:
    """Entries that the norm of a node has for each new feature."""
    first = torch.zeros(1, dtype=torch.long)
    return len(norm_entries_of(layout.dag, layout.site, name, first))


def _copies(network: Network, layout: SiteLayout, neurons: Neurons, splits: Tensor, dtype: torch.dtype) -> Change:
    """Copies of neurons that are there: fan-in and norm as theirs, the fan-out shared with all copies equally."""
    dag, node, state = layout.dag, layout.site.node, network.state_dict()
    fan_in: EdgeWeights = {}
    for edge, (added, more) in layout.split_fan_in(neurons.alpha, dtype).items():
        weight, bias = weights_of(layout, state, edge)
        both = None if bias is None or more is None else bias[splits] + more
        fan_in[edge] = EdgeWeight(weight[splits] + added, both)
    count = torch.bincount(splits, minlength=dag.size(node))
    share = (1.0 / (1.0 + count.double())).to(dtype)
    fan_out, updates = {}, []
    for reading in layout.site.readings:
        weight, _ = weights_of(layout, state, reading.edge)
        copied = columns_of(dag, node, reading, splits)
        shares = share[splits].repeat_interleave(copied.shape[1])
        fan_out[reading.edge] = _columns(weight, copied.flatten(), shares)
        split = count.nonzero().squeeze(1)
        columns = columns_of(dag, node, reading, split)
        lost = torch.zeros_like(weight)
        lost[:, columns.flatten()] = _columns(
            weight, columns.flatten(), (share[split] - 1).repeat_interleave(columns.shape[1])
        )
        updates.append(WeightUpdate(reading.edge.target, {reading.edge: EdgeWeight(lost, None)}))
    norms = norm_entries(network, layout.site, splits)
    statistics = {name: own.statistics for name, own in norms.items()}
    learned = {name: own.learned for name, own in norms.items() if own.learned is not None}
    return Change(NewFeatures(node, fan_in, fan_out, layout.site.passed, statistics, learned), tuple(updates))


def _columns(weight: Tensor, index: Tensor, factors: Tensor) -> Tensor:
    """Some input columns of a weight, each multiplied."""
    return weight[:, index] * factors.view(1, -1, *[1] * (weight.dim() - 2))
