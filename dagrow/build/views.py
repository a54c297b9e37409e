"""Views of a network: the same layers under other fx code. No hooks, no copies of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, fx

from dagrow.build.emit import Value, cut, edge_module, emit, output, record
from dagrow.build.module import Network
from dagrow.build.tape import Call, Tape
from dagrow.graph import Dag, edge_work
from dagrow.work import spend


def probe(network: Network, dag: Dag, wanted: Sequence[Value]) -> fx.GraphModule:
    """The whole forward pass that also returns inner values.

    Args:
        network: the network; its layers are shared, not copied.
        dag: its DAG.
        wanted: inner values, returned after the outputs.

    Returns:
        A module from the inputs to the tuple ``(*outputs, *wanted)``.
    """
    inputs = [output(name) for name in dag.spec.inputs]
    outputs = [output(name) for name in dag.spec.outputs]
    return fx.GraphModule(network, emit(dag, inputs, [*outputs, *wanted]), class_name="Probe")


def output_of(values: Mapping[Value, Tensor], dag: Dag, name: str, rows: Any = slice(None)) -> Tensor:
    """What an input or node puts out, for some samples, from the values of a forward pass.

    Args:
        values: of the network.
        dag: may hold nodes that the network has not: pools of one node that it has.
        name: of the node.
        rows: which samples.
    """
    if output(name) in values:
        return values[output(name)][rows]
    (edge,), pool = dag.incoming[name], dag.node(name).pool
    assert pool is not None
    return pool.run(output_of(values, dag, edge.source, rows))


class Suffix:
    """The part of a network below a change. It runs call by call: to make code for a few runs costs more.

    Args:
        network: whose layers it calls.
        tape: from given values to outputs.
        dag: of the network.
    """

    def __init__(self, network: Network, tape: Tape, dag: Dag) -> None:
        self._given = [call for call in tape.nodes if call.op == "placeholder"]
        self._calls = [(call, _function(network, call)) for call in tape.nodes if call.op != "placeholder"]
        layers = set(self.layers)
        self._each = sum(edge_work(dag, edge) for edge in dag.spec.edges if edge_module(edge) in layers)
        self._results = tape.results

    def __call__(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The outputs."""
        spend(len(given[0]) * self._each)
        values: dict[Call, Any] = dict(zip(self._given, given, strict=True))
        for call, function in self._calls:
            values[call] = function(*_filled(call.args, values))
        return tuple(values[call] for call in self._results)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that it calls."""
        return tuple(str(call.target) for call, _ in self._calls if call.op == "call_module")


def _filled(arguments: Iterable[Any], values: Mapping[Call, Any]) -> list[Any]:
    """Arguments with values in place of calls."""
    filled: list[Any] = []
    for argument in arguments:
        if isinstance(argument, Call):
            filled.append(values[argument])
        else:
            filled.append(_filled(argument, values) if isinstance(argument, list | tuple) else argument)
    return filled


def _function(network: Network, call: Call) -> Callable[..., Any]:
    if callable(call.target):
        return call.target
    is_layer = call.op == "call_module"
    found: Callable[..., Any] = network.get_submodule(call.target) if is_layer else getattr(Tensor, call.target)
    return found


def suffix(network: Network, dag: Dag, changed: Sequence[str]) -> tuple[Suffix, tuple[Value, ...]]:
    """The part of the network below a change of some pre-activations (see `cut`).

    Args:
        network: the network; its layers are shared, not copied.
        dag: its DAG.
        changed: nodes whose pre-activations will be given.

    Returns:
        What leads from the given values to the tuple of outputs, and the list of those values: those of the
        changed nodes first, then the values beside the change that are needed as well.
    """
    outputs = [output(name) for name in dag.spec.outputs]
    given = cut(dag, changed, outputs)
    return Suffix(network, record(dag, given, outputs), dag), given
