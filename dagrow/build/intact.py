"""Whether a network still is what its spec says: growth makes code and layers from the spec alone, so it must be."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, fx, nn

from dagrow.build.checks import check_numbers, why_missing
from dagrow.build.emit import output, record
from dagrow.build.module import Network
from dagrow.build.network import node_layers
from dagrow.errors import GrowthError
from dagrow.graph import Dag
from dagrow.spec.graph import GraphSpec

_ANEW = "growth goes by the graph alone: declare it there and build the network anew"


def check_intact(network: Network) -> None:
    """Refuses a network whose code, layers or tensors are no longer those of its spec.

    Submodules, parameters and attributes that the spec does not know are a person's own, and no matter.

    Raises:
        GrowthError: that says what was edited, replaced, taken away or shared.
    """
    if "forward" in vars(network):
        raise GrowthError(f"the network has a 'forward' of its own in place of the graph's; {_ANEW}")
    if _calls(network.graph) != _declared_calls(network.spec):
        raise GrowthError(f"the code of the network (its fx graph) was edited: it does not match its spec; {_ANEW}")
    layers = declared_layers(network.spec)
    for path, declared in layers.items():
        _check_layer(path, _layer(network, path), declared)
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    own = [state.get(f"{path}.{name}") for path, declared in layers.items() for name in declared.state_dict()]
    check_numbers([tensor for tensor in own if tensor is not None and tensor.is_floating_point()])
    _check_apart(network, layers)


def drop_additions(network: Network) -> None:
    """Takes all parameters, buffers and submodules off the network that its spec does not know; none of them is run."""
    layers = declared_layers(network.spec)
    known = {*layers, *(path.partition(".")[0] for path in layers), ""}
    for path, module in list(network.named_modules()):
        if path not in known:
            continue
        prefix = f"{path}." if path else ""
        for name in [name for name in module._modules if f"{prefix}{name}" not in known]:
            del module._modules[name]
        for table in ("_parameters", "_buffers"):
            own = getattr(module, table)
            for name in own.keys() - (getattr(layers[path], table).keys() if path in layers else set()):
                del own[name]


def _check_layer(path: str, layer: nn.Module | None, declared: nn.Module) -> None:
    if layer is None or not isinstance(layer, type(declared)):
        found = "nothing" if layer is None else f"a layer of class {type(layer).__name__}"
        raise GrowthError(f"{path} is {found}, the graph declares {type(declared).__name__}; {_ANEW}")
    found_tensors = {**dict(layer.named_parameters(recurse=False)), **dict(layer.named_buffers(recurse=False))}
    for name, tensor in (*declared.named_parameters(), *declared.named_buffers()):
        own = found_tensors.get(name)
        if own is None:
            raise GrowthError(f"'{path}' has no {name} of its own{why_missing(layer, name)}")
        if own.shape != tensor.shape:
            raise GrowthError(
                f"the {name} of '{path}' has shape {list(own.shape)}, and the graph says {list(tensor.shape)}: "
                "sizes are changed by dagrow.apply only"
            )


def _check_apart(network: Network, layers: Mapping[str, nn.Module]) -> None:
    """Every parameter in one place: another one of the same module is no second place, unless the graph names both."""
    places: dict[object, str] = {}
    visited: set[int] = set()
    for path, module in network.named_modules(remove_duplicate=False):
        if id(module) in visited and path not in layers:
            continue
        visited.add(id(module))
        for name, parameter in module._parameters.items():
            if parameter is None:
                continue
            here = f"{path}.{name}" if path else name
            # Two parameters over one storage move together too. Meta tensors and empty ones have address 0.
            address = parameter.data_ptr()
            for key in (id(parameter), (address, parameter.device)) if address else (id(parameter),):
                first = places.get(key)
                if first is not None and (path in layers or first.rpartition(".")[0] in layers):
                    raise GrowthError(
                        f"{first} and {here} share their values: growth would take them apart; "
                        "give each a tensor of its own"
                    )
                places.setdefault(key, here)


def _layer(network: Network, path: str) -> nn.Module | None:
    """The layer of that path; None where there is none."""
    module: nn.Module | None = network
    for name in path.split("."):
        module = None if module is None else module._modules.get(name)
    return module


@lru_cache(maxsize=8)
def declared_layers(spec: GraphSpec) -> dict[str, nn.Module]:
    """The layers of a graph by their paths, without values."""
    dag = Dag.of(spec)
    with torch.device("meta"):
        return {f"{name}.{key}": layer for name in dag.order for key, layer in node_layers(dag, name).items()}


@lru_cache(maxsize=8)
def _declared_calls(spec: GraphSpec) -> tuple[Any, ...]:
    tape, _ = record(Dag.of(spec), [output(name) for name in spec.inputs], [output(name) for name in spec.outputs])
    results = tape.results if len(spec.outputs) > 1 else tape.results[0]
    calls: list[tuple[object, tuple[Any, ...]]] = [(call, (call.op, call.target, call.args, {})) for call in tape.nodes]
    return _numbered([*calls, (None, ("output", "output", (results,), {}))])


def _calls(graph: fx.Graph) -> tuple[Any, ...]:
    return _numbered([(node, (node.op, node.target, node.args, node.kwargs)) for node in graph.nodes])


def _numbered(calls: list[tuple[object, tuple[Any, ...]]]) -> tuple[Any, ...]:
    """Calls with numbers in the place of earlier calls that they refer to: the names of calls do not count."""
    numbers = {id(call): number for number, (call, _) in enumerate(calls)}

    def plain(value: Any) -> Any:
        if isinstance(value, Tensor):
            return id(value)
        if isinstance(value, dict):
            return tuple(sorted((key, plain(entry)) for key, entry in value.items()))
        if isinstance(value, list | tuple):
            return tuple(plain(entry) for entry in value)
        return ("result", numbers[id(value)]) if id(value) in numbers else value

    return tuple((op, target, plain(args), plain(kwargs)) for _, (op, target, args, kwargs) in calls)


def frozen_names(network: Network) -> frozenset[str]:
    """Names of the parameters that require no gradient: their values are a person's decision."""
    return frozenset(name for name, parameter in network.named_parameters() if not parameter.requires_grad)
