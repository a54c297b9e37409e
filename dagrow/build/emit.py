"""Writes fx code for a DAG: from any set of given values to any set of wanted ones.

The network itself is "inputs given, outputs wanted". A probe wants more; a suffix is given the values
along a cut. All three call the same modules, by the same names.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import fx

from dagrow.build.call_list import Call, Tape
from dagrow.graph import Dag
from dagrow.spec.graph import EdgeId
from dagrow.stages import used_stages


class Value(NamedTuple):
    """A value of the forward pass.

    Attributes:
        node: a node or input.
        stage: ``merged``, what a node merges (``a``); ``output``, what a node or input puts out (``b``);
            ``delta``, something to be added to what the node merges.
    """

    node: str
    stage: Literal["merged", "output", "delta"]


def merged(node: str) -> Value:
    """The pre-activation ``a`` of a node."""
    return Value(node, "merged")


def output(node: str) -> Value:
    """The output ``b`` of a node or input."""
    return Value(node, "output")


def given_value(value: Value, dag: Dag) -> str:
    """The argument name of a given value in the emitted code."""
    if value.node in dag.spec.inputs:
        return value.node
    name = f"{value.node}_{value.stage}"
    while name in dag.spec.inputs:
        name += "_"
    return name


def emit(dag: Dag, given: Sequence[Value], wanted: Sequence[Value], single: bool = False) -> fx.Graph:
    """Code that computes ``wanted`` from ``given`` and nothing else.

    Args:
        dag: the network's DAG.
        given: values that become arguments, in this order.
        wanted: values to return, in this order.
        single: return the one wanted value itself instead of a tuple.
    """
    graph = fx.Graph()
    writer = _Writer(graph, dag, given, wanted)
    results = tuple(writer.value(value) for value in wanted)
    graph.output(results[0] if single else results)
    graph.lint()
    return graph


def record(dag: Dag, given: Sequence[Value], wanted: Sequence[Value]) -> tuple[Tape, dict[Value, Call]]:
    """As `emit`, for code that is run a few times only; and the call that holds each value."""
    tape = Tape()
    writer = _Writer(tape, dag, given, wanted)
    tape.output(tuple(writer.value(value) for value in wanted))
    return tape, writer.known


def cut(dag: Dag, changed: Iterable[str], wanted: Sequence[Value]) -> tuple[Value, ...]:
    """The values that ``wanted`` needs when the pre-activations of ``changed`` are not what they were.

    A changed node with no other changed node above it is given whole (``merged``). One below another is
    computed again, and what changes at it besides is given (``delta``).

    Returns:
        The given values that are used, those of the changed nodes first, then what lies beside them.
    """
    changed = list(changed)
    below = _reached(dag, changed)
    moved = {name for name in below if any(edge.source in below for edge in dag.incoming[name])}
    needed: dict[Value, None] = {}
    seen: set[str] = set()
    stack = [value.node for value in reversed(wanted)]
    while stack:
        name = stack.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in below:
            needed[output(name)] = None
            continue
        if name in changed:
            needed[Value(name, "delta" if name in moved else "merged")] = None
        if name in moved:
            stack += [edge.source for edge in reversed(dag.incoming[name])]
    first = [value for name in changed for value in needed if value.node == name]
    return (*first, *(value for value in needed if value not in first))


def _reached(dag: Dag, changed: Sequence[str]) -> set[str]:
    reached = set(changed)
    for name in dag.order:
        if any(edge.source in reached for edge in dag.incoming[name]):
            reached.add(name)
    return reached


class _Writer:
    """Emits each value once, parents first, into an ``fx.Graph`` or a `Tape`."""

    def __init__(self, graph: Any, dag: Dag, given: Sequence[Value], wanted: Sequence[Value]) -> None:
        self.dag, self.graph = dag, graph
        self.known: dict[Value, Any] = {value: graph.placeholder(given_value(value, dag)) for value in given}
        self.own = frozenset(value.node for value in wanted if value.stage == "merged")

    def value(self, value: Value) -> Any:
        """The node that holds a value, emitted with all it needs. Iterative: graphs may be deep."""
        stack = [value]
        while stack:
            top = stack[-1]
            missing = [] if top in self.known else [v for v in self._needs(top) if v not in self.known]
            if missing:
                stack += reversed(missing)
                continue
            stack.pop()
            if top not in self.known:
                write = self._write_merged if top.stage == "merged" else self._write_output
                self.known[top] = write(top.node)
        return self.known[value]

    def _needs(self, value: Value) -> list[Value]:
        if value.stage == "output":
            return [merged(value.node)]
        return [output(edge.source) for edge in self.dag.incoming[value.node]]

    def _write_merged(self, name: str) -> Any:
        value = self._join_edges(name)
        delta = self.known.get(Value(name, "delta"))
        return value if delta is None else self._call(operator.add, f"{name}_changed", value, delta)

    def _join_edges(self, name: str) -> Any:
        written = [self._write_edge(edge) for edge in self.dag.incoming[name]]
        if len(written) == 1:
            # A wanted value is a tensor of its own, with its own gradient; a lone identity edge shares its parent's.
            alone = name in self.own and not self.dag.op(self.dag.incoming[name][0]).parametrised
            return self.graph.call_method("clone", (written[0],)) if alone else written[0]
        if self.dag.node(name).merge == "concat":
            return self._call(torch.cat, name, written, self.dag.merged(name).batch_axis)
        join = operator.mul if self.dag.node(name).merge == "multiply" else operator.add
        total = written[0]
        for part in written[1:]:
            total = self._call(join, name, total, part)
        return total

    def _write_edge(self, edge: EdgeId) -> Any:
        source, op = self.known[output(edge.source)], self.dag.op(edge)
        if op.call_before is not None:
            source = self._call(op.call_before, f"{edge.target}_reads", source)
        return self._module(edge_module(edge), source) if op.parametrised else source

    def _write_output(self, name: str) -> Any:
        node, value = self.dag.node(name), self.known[merged(name)]
        for stage, shape in used_stages(node, self.dag.merged(name)):
            if stage.has_layer(node, shape):
                value = self._module(f"{name}.{stage.name}", value)
            for call in stage.calls(node, shape):
                if isinstance(call.function, str):
                    value = self.graph.call_method(call.function, (value, *call.arguments))
                else:
                    value = self._call(call.function, f"{name}_{call.suffix}", value, *call.arguments)
        return value

    def _module(self, target: str, value: Any) -> Any:
        return self.graph.create_node("call_module", target, (value,), name=target.replace(".", "_"))

    def _call(self, function: Callable[..., torch.Tensor], name: str, *args: object) -> Any:
        return self.graph.create_node("call_function", function, args, name=name)


def edge_module(edge: EdgeId) -> str:
    """Where the layer of an edge lives in the network: under its target, named after its source."""
    return f"{edge.target}.from_{edge.source}"
