"""A graph in words: shapes, sizes and where it can grow. Needs no data."""

from __future__ import annotations

from dagrow.graph import Dag, NotGrowable, cost, sites, stage_parameters
from dagrow.report.labels import operations
from dagrow.report.table import table
from dagrow.spec.graph import NodeSpec


def describe(dag: Dag) -> str:
    """Nodes with shapes and parameters, the total, and the answer for each place to grow."""
    spec = dag.spec
    body = [[name, "input", "", _shape(entry.shape), "0", "0"] for name, entry in spec.inputs.items()]
    for name in dag.order:
        node = dag.node(name)
        ops = ", ".join(f"{dag.op(edge).name} {edge.source}" for edge in dag.incoming[name])
        parameters = sum(
            dag.op(e).parameter_count(dag.output(e.source), dag.written(e)) for e in dag.incoming[name]
        ) + stage_parameters(dag, name)
        multiply_adds = sum(dag.op(e).multiply_adds(dag.output(e.source), dag.written(e)) for e in dag.incoming[name])
        body.append([name, ops, _parts(node), _shape(dag.output(name)), str(parameters), str(multiply_adds)])
    total = cost(dag)
    body.append(["total", "", "", "", str(total.parameters), str(total.multiply_adds)])
    lines = [table(("node", "reads", "then", "output", "parameters", "multiply-adds"), body, left=4), ""]
    for place in sites(dag):
        if isinstance(place, NotGrowable):
            lines.append(f"{place.node} keeps its size: {place.reason}")
        else:
            readers = ", ".join(str(reading.edge) for reading in place.readings)
            lines.append(f"{place.node} can be widened; read by {readers}")
    return "\n".join(lines)


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _parts(node: NodeSpec) -> str:
    return ", ".join([*([node.joined] if node.merge != "sum" else []), *operations(node)])
