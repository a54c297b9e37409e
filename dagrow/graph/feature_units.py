"""Which features share a unit.

Inputs times a number, with the weights that read them divided by it, are the same function: no decision may depend on
that. So features are compared by size only with others of their own unit: those of one input or node. Concats and
identity edges hand units on.
"""

from __future__ import annotations

from dagrow.graph.dag import Dag
from dagrow.spec.graph import EdgeId
from dagrow.stages import used_stages


def feature_units(dag: Dag, edge: EdgeId) -> list[tuple[str, int]]:
    """The features that an edge with weights reads, in their order: runs of ``(unit, number of features)``."""
    source, op = dag.output(edge.source), dag.op(edge)
    if not op.reads_values:
        return [(str(edge), op.feature_count(source))]
    each = op.feature_count(source) // source.channels
    return [(unit, count * each) for unit, count in _channel_units(dag, edge.source)]


def _channel_units(dag: Dag, name: str) -> list[tuple[str, int]]:
    """The same of the channels that an input or node puts out."""
    count = dag.output(name).channels
    if name in dag.spec.inputs:
        return [(name, count)]
    node, edges = dag.node(name), dag.incoming[name]
    own = not all(stage.keeps_units(node) for stage, _ in used_stages(node, dag.merged(name)))
    weighted = node.merge == "sum" and (len(edges) > 1 or dag.op(edges[0]).parametrised)
    if own or weighted or node.merge == "multiply":
        return [(name, count)]
    parts: list[tuple[str, int]] = []
    for edge in edges:
        slot = dag.slots(name)[edge]
        parts += (
            [(str(edge), slot.stop - slot.start)] if dag.op(edge).parametrised else _channel_units(dag, edge.source)
        )
    # A flattened map has one feature per position, channel by channel.
    positions = count // dag.merged(name).channels
    return [(unit, size * positions) for unit, size in parts]
