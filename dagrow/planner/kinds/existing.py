"""The neurons that a node has already, as methods see them: matrices in the layout of the site's moments."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight
from dagrow.methods import ExistingNeurons
from dagrow.mutation import columns_of
from dagrow.spec.graph import EdgeId
from dagrow.statistics import SiteLayout


def existing_neurons(network: Network, layout: SiteLayout) -> ExistingNeurons:
    """Fan-ins and fan-outs of all neurons of a site; none of a node that is not there yet."""
    node, state = layout.site.node, network.state_dict()
    like = next(iter(network.parameters()))
    if node not in network.spec.nodes:
        whole, features = replace(layout, pointwise=False), layout.feature_count - (not layout.has_bias)
        outputs = sum(whole.fan_out(reading) * layout.outputs(reading) for reading in layout.site.readings)
        empty = torch.zeros(features, 0, dtype=torch.float64, device=like.device)
        return ExistingNeurons(empty, empty.new_zeros(0, outputs))
    size, rows = layout.dag.size(node), []
    constant = torch.zeros(1, size, dtype=torch.float64, device=like.device)
    for edge in layout.widths:
        weight, bias = weights_of(layout, state, edge)
        rows.append(layout.dag.op(edge).weight_to_rows(weight).double().T)
        if bias is not None:
            constant = constant + bias.double()
    if layout.has_bias:
        rows.append(constant)
    return ExistingNeurons(torch.cat(rows), torch.cat(_fan_outs(layout, state), 1))


def _fan_outs(layout: SiteLayout, state: dict[str, Tensor]) -> list[Tensor]:
    """``[K, M]`` per reading."""
    dag, node = layout.dag, layout.site.node
    units, found = torch.arange(dag.size(node)), []
    for reading in layout.site.readings:
        weight, _ = weights_of(layout, state, reading.edge)
        own = weight[:, columns_of(dag, node, reading, units.to(weight.device)).flatten()].double()
        found.append(own.reshape(len(own), len(units), -1).permute(1, 2, 0).flatten(1))
    return found


def weights_of(layout: SiteLayout, state: dict[str, Tensor], edge: EdgeId) -> EdgeWeight:
    """Weight (output features first) and bias of an edge."""
    return EdgeWeight.read(state, layout.dag.op(edge), edge)
