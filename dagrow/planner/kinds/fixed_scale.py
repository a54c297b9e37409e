"""New neurons and edges that enter as their method made them, at the bound that it keeps: nothing is scaled."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight, EdgeWeights
from dagrow.methods import FixedScale, Neurons
from dagrow.mutation import Change, NewFeatures, WeightUpdate, columns_of
from dagrow.planner.kinds.existing import weights_of
from dagrow.planner.kinds.features import new_features
from dagrow.planner.scaling import AtBound, SplitAtBound
from dagrow.planner.simulated_change import Trial
from dagrow.spec.graph import EdgeId
from dagrow.statistics import SiteLayout


def bounded_trial(network: Network, layout: SiteLayout, neurons: Neurons) -> Trial:
    """Neurons in matrix form as a change of one amplitude, 1."""
    assert isinstance(neurons.mode, FixedScale)
    features = new_features(layout, neurons.alpha, neurons.omega, next(iter(network.parameters())).dtype)
    trial = Trial(network, layout.dag, Change(features), layout.site, AtBound())
    parents = neurons.mode.parents
    return trial if parents is None else _with_splits(trial, layout, features, parents)


def _with_splits(trial: Trial, layout: SiteLayout, features: NewFeatures, splits: Tensor) -> Trial:
    """The trial with some of its neurons copies of others, which step away from them.

    What is made moves each original and halves its fan-out. What is tried is the same function with the original as a
    new neuron too and its old self taken away: the cached outputs of a node that moves would be wrong. Behind a norm
    both halves have what it holds for the original; that is filled in with the statistics of new neurons.

    Args:
        trial: with the steps of copies for their fan-ins.
        layout: of the site.
        features: those of the trial.
        splits: ``[K]``, the neuron that each is a copy of, -1 for none.
    """
    dag, node, state = layout.dag, layout.site.node, trial.network.state_dict()
    copies = (splits >= 0).nonzero().squeeze(1)
    originals = splits[copies]
    fan_in: EdgeWeights = {}
    moved: EdgeWeights = {}
    steps: EdgeWeights = {}
    for edge, (added, more) in features.fan_in.items():
        weight, bias = weights_of(layout, state, edge)
        rows = _apart(added, weight, copies, originals)
        entries = (None, None, None) if more is None or bias is None else _apart(more, bias, copies, originals)
        fan_in[edge], moved[edge], steps[edge] = map(EdgeWeight, rows, entries)
    fan_out: dict[EdgeId, Tensor] = {}
    both: dict[EdgeId, Tensor] = {}
    halved: list[WeightUpdate] = []
    for reading in layout.site.readings:
        weight, _ = weights_of(layout, state, reading.edge)
        columns = columns_of(dag, node, reading, originals)
        half = weight[:, columns.flatten()] / 2
        width, own = columns.shape[1], features.fan_out[reading.edge].clone()
        own[:, (copies.unsqueeze(1) * width + torch.arange(width, device=copies.device)).flatten()] = half
        fan_out[reading.edge], both[reading.edge] = own, torch.cat([own, half], 1)
        less = torch.zeros_like(weight)
        less[:, columns.flatten()] = -half
        halved.append(WeightUpdate(reading.edge.target, {reading.edge: EdgeWeight(less, None)}))
    made = Change(replace(features, fan_in=fan_in, fan_out=fan_out), (*halved, WeightUpdate(node, steps)))
    together = {edge: weights.followed_by(moved[edge]) for edge, weights in fan_in.items()}
    shown = Change(replace(features, fan_in=together, fan_out=both), tuple(update.scaled(2.0) for update in halved))
    return replace(trial, change=shown, scaling=SplitAtBound(made, torch.cat([splits, originals])))


def _apart(added: Tensor, there: Tensor, copies: Tensor, originals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Entries by neuron: of all new neurons, of the originals once they have moved, and of that move."""
    new, step = added.clone(), torch.zeros_like(there)
    new[copies] += there[originals]
    step[originals] = -added[copies]
    return new, there[originals] - added[copies], step
