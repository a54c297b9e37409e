"""Views of a network: the same layers under other fx code. No hooks, no copies of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx

from dagrow.build.emit import Value, cut, emit, output
from dagrow.build.module import Network
from dagrow.graph import Dag


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


def suffix(network: Network, dag: Dag, changed: Sequence[str]) -> tuple[fx.GraphModule, tuple[Value, ...]]:
    """The part of the network below a change of some pre-activations (see `cut`).

    Args:
        network: the network; its layers are shared, not copied.
        dag: its DAG.
        changed: nodes whose pre-activations will be given.

    Returns:
        A module from the given values to the tuple of outputs, and the list of those values: those of the
        changed nodes first, then the values beside the change that are needed as well.
    """
    outputs = [output(name) for name in dag.spec.outputs]
    given = cut(dag, changed, outputs)
    return fx.GraphModule(network, emit(dag, given, outputs), class_name="Suffix"), given
