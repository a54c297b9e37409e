"""Layers that come and go with nodes and edges: modules, code and parameter groups of the optimizer.

The layers of a network sit where `build` would put them, in the same order, so a grown network and one that
is built from its spec have the same state dict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dagrow.build import Network, output
from dagrow.build.emit import emit
from dagrow.build.network import node_layers
from dagrow.build.units import unit_axes
from dagrow.errors import GrowthError
from dagrow.graph import Dag
from dagrow.mutation.optimizer_state import find_slot
from dagrow.mutation.steps import Step, assignment, entry, removal
from dagrow.objectives.adarad import UNIT_AXIS

Layers = dict[str, dict[str, nn.Module | None]]
"""Per node, its layers and those of the edges into it."""


class Modules(NamedTuple):
    """A table of submodules, as it is and as it will be."""

    owner: nn.Module
    before: dict[str, nn.Module | None]
    after: dict[str, nn.Module | None]

    @property
    def step(self) -> Step:
        """Puts one table in the place of the other."""
        return assignment(self.owner, "_modules", self.after)


def layer_steps(
    network: Network, after: Dag, fresh: Mapping[str, Tensor], optimizer: torch.optim.Optimizer | None
) -> list[Step]:
    """Steps that bring the modules, the code and the optimizer to a graph with other nodes or edges.

    Args:
        network: as it is.
        after: the graph to be.
        fresh: every tensor of the new layers, by its key.
        optimizer: takes the new parameters into the group of those beside them, and lets go of lost ones.

    Raises:
        GrowthError: if a tensor of a new layer is missing or has another shape.
    """
    if network.spec == after.spec:
        return []
    if (network.spec.nodes.keys(), network.spec.edges.keys()) == (after.spec.nodes.keys(), after.spec.edges.keys()):
        # The same code, written anew: torch.compile counts what it compiles per code object, and gives up after a few.
        return [Step(network.recompile, network.recompile)]
    wanted = [output(name) for name in after.spec.outputs]
    code = emit(after, [output(name) for name in after.spec.inputs], wanted, single=len(wanted) == 1)
    # A module of fx holds its layers in the order in which the code calls them.
    order = dict.fromkeys(str(call.target).partition(".")[0] for call in code.nodes if call.op == "call_module")
    layers = _layers(network, after, order, fresh)
    tables = _tables(network, layers)
    steps = [table.step for table in tables]
    steps.append(assignment(network, "graph", code))
    if optimizer is not None:
        steps += _group_steps(network, layers, after, optimizer)
    return steps


def _layers(network: Network, after: Dag, order: Iterable[str], fresh: Mapping[str, Tensor]) -> Layers:
    """The layers of every node that has some: those that stay, and new ones."""
    example = next(iter((*network.parameters(), *network.buffers())), torch.zeros(()))
    found: Layers = {}
    for name in order:
        old = network._modules.get(name)
        kept = {} if old is None else old._modules
        with torch.device("meta"):
            made = node_layers(after, name)
        found[name] = {
            key: kept.get(key) or _filled(f"{name}.{key}", layer, fresh, example).train(network.training)
            for key, layer in made.items()
        }
    return found


def _tables(network: Network, layers: Layers) -> list[Modules]:
    """The tables of submodules that change: of nodes that stay, then that of the network."""
    tables: list[Modules] = []
    nodes: dict[str, nn.Module | None] = {}
    for name, own in layers.items():
        old = network._modules.get(name)
        if old is None:
            holder = nn.Module().train(network.training)
            holder._modules = own
            nodes[name] = holder
        else:
            nodes[name] = old
            if list(own) != list(old._modules):
                tables.append(Modules(old, old._modules, own))
    return [*tables, Modules(network, network._modules, nodes)]


def _filled(path: str, layer: nn.Module, fresh: Mapping[str, Tensor], example: Tensor) -> nn.Module:
    """A layer with its tensors, of the network's dtype, on its device."""
    layer = layer.to_empty(device=example.device)
    learned = dict(layer.named_parameters())
    for name, tensor in layer.state_dict(keep_vars=True).items():
        value = fresh.get(f"{path}.{name}")
        if value is None and name not in learned and not tensor.is_floating_point():
            tensor.zero_()
        elif value is None or value.shape != tensor.shape:
            found = "missing" if value is None else list(value.shape)
            raise GrowthError(f"the change does not fit: {path}.{name} needs {list(tensor.shape)}, it is {found}")
        else:
            own = value.detach().to(example.device, example.dtype)
            tensor.data = own.clone(memory_format=torch.contiguous_format)
    return layer


def _group_steps(network: Network, layers: Layers, after: Dag, optimizer: torch.optim.Optimizer) -> list[Step]:
    """New parameters join the group of a neighbour's, lost ones leave theirs."""
    old = {id(parameter) for parameter in network.parameters()}
    new = {
        name: [p for layer in own.values() if layer is not None for p in layer.parameters()]
        for name, own in layers.items()
    }
    stay = {id(parameter) for parameters in new.values() for parameter in parameters}
    lists: dict[int, list[nn.Parameter]] = {
        index: [p for p in group["params"] if id(p) not in old or id(p) in stay]
        for index, group in enumerate(optimizer.param_groups)
    }
    axes = {id(p): axis for key, axis in unit_axes(after).items() if (p := _weight(layers, key)) is not None}
    for name, parameters in new.items():
        for parameter in parameters:
            if id(parameter) not in old:
                beside = _group_beside(optimizer, after, name, network)
                lists[_of_axis(optimizer, beside, axes.get(id(parameter), 0))].append(parameter)
    steps: list[Step] = []
    for index, group in enumerate(optimizer.param_groups):
        params = lists[index]
        if len(params) != len(group["params"]) or any(p is not q for p, q in zip(params, group["params"], strict=True)):
            steps.append(entry(group, "params", params))
    lost = [p for p in network.parameters() if id(p) not in stay and p in optimizer.state]
    return [*steps, *(removal(optimizer.state, parameter) for parameter in lost)]


def _weight(layers: Layers, key: str) -> nn.Parameter | None:
    """The weight of that key; None where there is no such layer."""
    node, layer, name = key.split(".")
    module = layers.get(node, {}).get(layer)
    return None if module is None else dict(module.named_parameters()).get(name)


def _of_axis(optimizer: torch.optim.Optimizer, index: int, axis: int) -> int:
    """A group like this one whose weights count units along the axis; this one, where groups do not say or none is."""
    like = optimizer.param_groups[index]
    if like.get(UNIT_AXIS, axis) == axis:
        return index
    wanted = {**like, "params": None, UNIT_AXIS: axis}
    return next((i for i, g in enumerate(optimizer.param_groups) if {**g, "params": None} == wanted), index)


def _group_beside(optimizer: torch.optim.Optimizer, after: Dag, name: str, network: Network) -> int:
    """The group of the nearest trained parameter: of the node itself, its children, its parents, else the first."""
    for near in (name, *(e.target for e in after.outgoing[name]), *(e.source for e in after.incoming[name])):
        layers = network._modules.get(near)
        # As they are before the change: those that are lost still say where they belonged.
        for parameter in () if layers is None else layers.parameters():
            slot = find_slot(optimizer, parameter)
            if slot is not None:
                return next(i for i, group in enumerate(optimizer.param_groups) if group is slot[0])
    return 0
