"""New units that change nothing yet: a fan-in of one's choice, fan-out 0."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight
from dagrow.contrib.nonparametric.random_fan_ins import random_fan_ins
from dagrow.errors import GrowthError
from dagrow.graph import NotGrowable, site, span
from dagrow.mutation.apply import apply_change
from dagrow.mutation.change import Change, NewFeatures
from dagrow.spec.graph import EdgeId


def add_units(
    network: Network,
    node: str,
    count: int,
    draw: torch.Generator,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
    averages: Sequence[AveragedModel] = (),
) -> None:
    """Adds units with random fan-in of expected squared length 1 and fan-out 0, in place.

    Their fan-in is as of `random_fan_ins`. Norms on the way start as those of a new network do.

    Args:
        network: to change.
        node: that gets units.
        count: how many.
        draw: on the CPU.
        optimizer: whose parameter groups and state go along; a list where several share the network.
        averages: of the network's weights, go along.

    Raises:
        GrowthError: if the size of the node is fixed, or an average is that of another network.
        OptimizerError: if the optimizer's state cannot be carried.
    """
    dag = network.dag
    place = site(dag, node) if node in dag.spec.nodes else NotGrowable(node, "the graph has no such node")
    if isinstance(place, NotGrowable):
        raise GrowthError(f"'{node}' cannot gain units: {place.reason}")
    state = network.state_dict()
    edges = [edge for edge in dag.incoming[node] if dag.op(edge).parametrised]
    fan_in = random_fan_ins(dag, edges, count, draw)
    fan_out: dict[EdgeId, Tensor] = {}
    statistics = {node: (torch.zeros(count), torch.ones(count))}
    for reading in place.readings:
        read = span(dag, node, reading)
        weight, _ = EdgeWeight.read(state, dag.op(reading.edge), reading.edge)
        fan_out[reading.edge] = weight.new_zeros(weight.shape[0], count * read.width, *weight.shape[2:])
        for name, wide in zip(reading.through, read.widths, strict=True):
            statistics[name] = (torch.zeros(count * wide), torch.ones(count * wide))
    apply_change(network, Change(NewFeatures(node, fan_in, fan_out, place.passed, statistics)), optimizer, averages)
