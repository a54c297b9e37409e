"""Views of a network: the same layers under other fx code. No hooks, no copies of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor, fx

from dagrow.build.call_list import Call, Tape
from dagrow.build.emit import Value, cut, edge_module, emit, merged, output, record
from dagrow.build.module import Network
from dagrow.flop_counter import spend
from dagrow.graph import Dag, edge_work
from dagrow.stages import NodeTail, run_stages


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
    (edge,) = dag.incoming[name]
    return run_stages(name, dag.node(name), dag.merged(name), output_of(values, dag, edge.source, rows), NodeTail())


_NOTHING: Mapping[str, Callable[..., Tensor]] = {}


class Suffix:
    """The part of a network below a change. It runs call by call: to make code for a few runs costs more.

    Args:
        given: calls whose results are given.
        calls: what is called, with its function.
        results: calls whose results are wanted.
        multiply_adds: of one sample.
    """

    def __init__(
        self,
        given: Sequence[Call],
        calls: Sequence[tuple[Call, Callable[..., Any]]],
        results: Sequence[Call],
        multiply_adds: int,
    ) -> None:
        self._given, self._calls, self._results, self._each = given, calls, results, multiply_adds

    def __call__(self, *given: Tensor, added: Mapping[str, Callable[..., Tensor]] = _NOTHING) -> tuple[Tensor, ...]:
        """The outputs.

        Args:
            given: results of the given calls.
            added: by the name of a layer, what is added to its result, given what it reads.
        """
        spend(len(given[0]) * self._each)
        values: dict[Call, Any] = dict(zip(self._given, given, strict=True))
        for call, function in self._calls:
            arguments = _filled(call.args, values)
            values[call] = function(*arguments)
            if call.op == "call_module" and call.target in added:
                values[call] = values[call] + added[str(call.target)](*arguments)
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


class Suffixes:
    """The parts of a network below changes of pre-activations, each made once; its layers are shared, not copied.

    Args:
        network: the network.
    """

    def __init__(self, network: Network) -> None:
        self.network, self.dag = network, network.dag
        self._outputs = [output(name) for name in self.dag.spec.outputs]
        self._made: dict[tuple[str, ...], tuple[Suffix, tuple[Value, ...]]] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._work = {edge_module(edge): edge_work(self.dag, edge) for edge in self.dag.spec.edges}

    def below(self, changed: Sequence[str]) -> tuple[Suffix, tuple[Value, ...]]:
        """The part below a change (see `cut`).

        Args:
            changed: nodes whose pre-activations will be given.

        Returns:
            What leads from the given values to the tuple of outputs, and the list of those values: those of the
            changed nodes first, then the values beside the change that are needed as well.
        """
        key = tuple(changed)
        if key not in self._made:
            self._made[key] = (self._below_one(key[0]) if len(key) == 1 else None) or self._below_some(key)
        return self._made[key]

    def _below_some(self, changed: tuple[str, ...]) -> tuple[Suffix, tuple[Value, ...]]:
        given = cut(self.dag, changed, self._outputs)
        tape, known = record(self.dag, given, self._outputs)
        return self._suffix(tape, [known[value] for value in given]), given

    def _below_one(self, name: str) -> tuple[Suffix, tuple[Value, ...]] | None:
        """A part of the whole as it is written down already; None where that cannot be."""
        tape, starts, outputs = self._whole
        if name not in starts:
            return None
        part, beside = tape.below(starts[name], outputs)
        return self._suffix(part, (starts[name], *beside)), (merged(name), *(outputs[each] for each in beside))

    @cached_property
    def _whole(self) -> tuple[Tape, dict[str, Call], dict[Call, Value]]:
        """The forward pass, the calls that hold what nodes merge, and what each call puts out.

        No starts, where one call holds the values of several nodes, as identity edges have it.
        """
        tape, known = record(self.dag, [output(name) for name in self.dag.spec.inputs], self._outputs)
        owner = {call: value.node for value, call in known.items()}
        shared = any(owner[call] != value.node for value, call in known.items())
        starts = {} if shared else {value.node: call for value, call in known.items() if value.stage == "merged"}
        return tape, starts, {call: value for value, call in known.items() if value.stage == "output"}

    def _suffix(self, tape: Tape, given: Sequence[Call]) -> Suffix:
        calls = [(call, self._function(call)) for call in tape.nodes if call.op != "placeholder"]
        work = sum(self._work.get(str(call.target), 0) for call, _ in calls)
        return Suffix(given, calls, tape.results, work)

    def _function(self, call: Call) -> Callable[..., Any]:
        if callable(call.target):
            return call.target
        if call.op != "call_module":
            method: Callable[..., Any] = getattr(Tensor, call.target)
            return method
        if call.target not in self._functions:
            self._functions[call.target] = self.network.get_submodule(call.target)
        return self._functions[call.target]
