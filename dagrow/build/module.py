"""The network that a spec compiles to: an ordinary fx module that knows its spec."""

from __future__ import annotations

import copy
from typing import Any

from torch import fx, nn
from torch.fx.graph_module import reduce_graph_module

from dagrow.graph import Dag
from dagrow.spec.graph import GraphSpec

_SPEC = "dagrow_spec"
_CODE = ("_graph", "_code", "_lineno_map", "_prologue_start")
"""What a module of fx makes of its graph."""
_COMPILED = "_compiled_call_impl"
"""Left by ``Module.compile``; it belongs to one object."""


class Network(fx.GraphModule):
    """A ``torch.fx.GraphModule`` of plain ``nn`` layers; ``.spec`` always matches its weights.

    Layers are named after the graph: ``h.from_x`` is the edge ``x -> h``; ``h.norm``, ``h.activation``,
    ``h.pool`` and ``h.dropout`` belong to node ``h``.

    Copies and pickles are networks too, with the spec and all that a person has added: parameters, submodules,
    attributes, hooks.
    """

    @property
    def spec(self) -> GraphSpec:
        """The graph as it is now. Kept in ``meta``."""
        spec: GraphSpec = self.meta[_SPEC]
        return spec

    @spec.setter
    def spec(self, spec: GraphSpec) -> None:
        self.meta[_SPEC] = spec

    @property
    def dag(self) -> Dag:
        """The checked DAG of `spec`."""
        return Dag.of(self.spec)

    def __copy__(self) -> Network:
        """A network of its own over the same tensors: until one of the two grows, training one trains both."""
        body = _shallow(self)
        for name in self.spec.nodes:
            if (holder := self._modules.get(name)) is not None:
                body["_modules"][name] = _with_layers_copied(holder)
        return _filled(Network.__new__(Network), body, copy.deepcopy(self.graph))

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        other = memo[id(self)] = Network.__new__(Network)
        # As torch has it, the graph is copied with the same memo as the layers.
        body = copy.deepcopy({key: value for key, value in vars(self).items() if key != _COMPILED}, memo)
        return _filled(other, body, body["_graph"])

    def __reduce__(self) -> tuple[Any, ...]:
        _, (body, imports) = super().__reduce__()
        return _restored, ({key: value for key, value in body.items() if key != _COMPILED}, imports)


def _restored(body: dict[str, Any], imports: str) -> Network:
    """A network from what `Network.__reduce__` gave; its graph is traced from its code, as fx does it."""
    graph = reduce_graph_module(dict(body), imports).graph
    assert isinstance(graph, fx.Graph)
    return _filled(Network.__new__(Network), body, graph)


def _filled(network: Network, body: dict[str, Any], graph: fx.Graph) -> Network:
    """Makes a new object the network of this graph, with these attributes."""
    root = nn.Module()
    vars(root).update(body)
    fx.GraphModule.__init__(network, root, graph, class_name="Network")
    own = vars(network)
    code = {key: own[key] for key in _CODE if key in own}
    own.update(body)
    own.update(code)
    return network


def _shallow(module: nn.Module) -> dict[str, Any]:
    """The attributes of a module, its tables copied, what is in them not."""
    attributes = vars(module).items()
    return {
        key: copy.copy(value) if isinstance(value, dict) else value for key, value in attributes if key != _COMPILED
    }


def _with_layers_copied(holder: nn.Module) -> nn.Module:
    """The layers of a node over the same tensors, so that growth can give the copy others."""
    other = nn.Module.__new__(type(holder))
    vars(other).update(_shallow(holder))
    for key, layer in holder._modules.items():
        if layer is not None:
            other._modules[key] = nn.Module.__new__(type(layer))
            vars(other._modules[key]).update(_shallow(layer))
    return other
