"""Layers that come and go with nodes and edges: modules and code.

The layers of a network sit where `build` would put them, in the same order, so a grown network and one that
is built from its spec have the same state dict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn

from dagrow.build import Network, output
from dagrow.build.emit import emit
from dagrow.build.network import node_layers
from dagrow.errors import GrowthError
from dagrow.graph import Dag
from dagrow.layout import channels_last, copied_in_order
from dagrow.mutation.operations import Operation, assignment

Layers = dict[str, dict[str, nn.Module | None]]
"""Per node, its layers and those of the edges into it."""


class Modules(NamedTuple):
    """A table of submodules, as it is and as it will be."""

    owner: nn.Module
    before: dict[str, nn.Module | None]
    after: dict[str, nn.Module | None]

    @property
    def step(self) -> Operation:
        """Puts one table in the place of the other."""
        return assignment(self.owner, "_modules", self.after)


class Restructured(NamedTuple):
    """What brings the layers of a network to another graph.

    Attributes:
        steps: that do it.
        tables: of submodules afterwards, by the identity of the module that owns them, where they change.
    """

    steps: list[Operation]
    tables: dict[int, dict[str, nn.Module | None]]


def layer_steps(network: Network, after: Dag, fresh: Mapping[str, Tensor]) -> Restructured:
    """Steps that bring the modules and the code to a graph with other nodes or edges.

    Args:
        network: as it is.
        after: the graph to be.
        fresh: every tensor of the new layers, by its key.

    Raises:
        GrowthError: if a tensor of a new layer is missing or has another shape, or if something that a person added
            to the network would be lost or hidden.
    """
    if network.spec == after.spec:
        return Restructured([], {})
    if (network.spec.nodes.keys(), network.spec.edges.keys()) == (after.spec.nodes.keys(), after.spec.edges.keys()):
        # The same code, written anew: torch.compile counts what it compiles per code object, and gives up after a few.
        return Restructured([Operation(network.recompile, network.recompile)], {})
    wanted = [output(name) for name in after.spec.outputs]
    code = emit(after, [output(name) for name in after.spec.inputs], wanted, single=len(wanted) == 1)
    called, calls = _called(network.graph), _called(code)
    _check_additions(network, called, calls)
    # A module of fx holds its layers in the order in which the code calls them.
    order = dict.fromkeys(path.partition(".")[0] for path in calls)
    tables = _tables(network, _layers(network, after, order, fresh), called)
    steps = [table.step for table in tables]
    steps.append(assignment(network, "graph", code))
    return Restructured(steps, {id(table.owner): table.after for table in tables})


def _called(code: fx.Graph) -> dict[str, None]:
    """The paths of all layers that the code calls, in its order."""
    return dict.fromkeys(str(call.target) for call in code.nodes if call.op == "call_module")


def _check_additions(network: Network, called: Iterable[str], calls: Iterable[str]) -> None:
    """Refuses to hide or to lose what a person added to the network: names that are taken, layers with additions."""
    known = {*called, *(path.partition(".")[0] for path in called)}
    for path in calls:
        node, _, key = path.partition(".")
        owner = network._modules.get(node) if node in known else None
        for name, holder in ((node, network), (key, owner)):
            taken = holder is not None and hasattr(holder, name)
            here = name if holder is network else path
            if taken and here not in known:
                raise GrowthError(f"the network has a '{here}' of your own, which a new layer would hide: rename it")
    stay = {*calls, *(path.partition(".")[0] for path in calls)}
    for path in known - stay:
        node, _, key = path.partition(".")
        layer = network.get_submodule(path)
        with torch.device("meta"):
            declared = node_layers(network.dag, node)
        names = [f"{k}.{name}" for k, own in declared.items() for name, _ in own.named_parameters()]
        if key:
            names = [name for name, _ in declared[key].named_parameters()]
        if added := [name for name, _ in layer.named_parameters() if name not in names]:
            raise GrowthError(
                f"'{path}' holds '{added[0]}' of your own, which would be lost with it: move it elsewhere"
            )


def _layers(network: Network, after: Dag, order: Iterable[str], fresh: Mapping[str, Tensor]) -> Layers:
    """The layers of every node that has some: those that stay, and new ones."""
    example = next(iter((*network.parameters(), *network.buffers())), torch.zeros(()))
    last = _channels_last(network)
    found: Layers = {}
    for name in order:
        old = network._modules.get(name)
        kept = {} if old is None else old._modules
        with torch.device("meta"):
            made = node_layers(after, name)
        found[name] = {
            key: kept.get(key) or _filled(f"{name}.{key}", layer, fresh, example, last).train(network.training)
            for key, layer in made.items()
        }
    return found


def _tables(network: Network, layers: Layers, called: Collection[str]) -> list[Modules]:
    """The tables of submodules that change: of nodes that stay, then that of the network.

    What a person added comes after the layers.
    """
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
            table = {**own, **_additions(old, {path for path in called if path.startswith(f"{name}.")}, f"{name}.")}
            if list(table) != list(old._modules):
                tables.append(Modules(old, old._modules, table))
    nodes.update(_additions(network, {path.partition(".")[0] for path in called}))
    return [*tables, Modules(network, network._modules, nodes)]


def _additions(owner: nn.Module, known: Collection[str], prefix: str = "") -> dict[str, nn.Module | None]:
    """The submodules that a person added."""
    return {key: module for key, module in owner._modules.items() if f"{prefix}{key}" not in known}


def _channels_last(network: Network) -> bool:
    """Whether a person has put the network's kernels into the memory format of that name."""
    return any(map(channels_last, network.parameters()))


def _filled(path: str, layer: nn.Module, fresh: Mapping[str, Tensor], example: Tensor, last: bool) -> nn.Module:
    """A layer with its tensors, of the network's dtype, on its device, its kernels in the memory format of others."""
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
            tensor.data = copied_in_order(own, last)
    return layer
