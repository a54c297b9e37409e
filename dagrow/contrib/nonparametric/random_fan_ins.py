"""Random fan-ins of expected squared length 1 (Philipp & Carbonell 2017, Table 3): of new units, and at the start."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight, EdgeWeights
from dagrow.build.network import derived_seed
from dagrow.graph import Dag
from dagrow.spec.graph import EdgeId


def random_fan_ins(dag: Dag, edges: Sequence[EdgeId], count: int, draw: torch.Generator) -> EdgeWeights:
    """Fan-ins of some units over all edges that lead to them: normal, of variance one over the features that they read.

    Their biases are 0.

    Args:
        dag: of the network.
        edges: with weights, into one node.
        count: of units.
        draw: on the CPU.
    """
    width = sum(dag.op(edge).feature_count(dag.output(edge.source)) for edge in edges)
    found: EdgeWeights = {}
    for edge in edges:
        op, source = dag.op(edge), dag.output(edge.source)
        rows = torch.randn(count, op.feature_count(source), generator=draw) / width**0.5
        found[edge] = EdgeWeight(op.rows_to_weight(rows, source), torch.zeros(count) if op.has_bias else None)
    return found


@torch.no_grad()
def unit_fan_ins(network: Network, seed: int) -> None:
    """Starts every unit with such a fan-in, in place; units that an edge writes into a concat have their own.

    Args:
        network: to start.
        seed: of the draws, one stream per node.
    """
    dag, state = network.dag, network.state_dict(keep_vars=True)
    for node in dag.order:
        draw = torch.Generator().manual_seed(derived_seed(seed, f"fan-ins of {node}"))
        edges = [edge for edge in dag.incoming[node] if dag.op(edge).parametrised]
        for together in [edges] if dag.node(node).merge == "sum" else [[edge] for edge in edges]:
            count = dag.written(together[0]).channels if together else 0
            for edge, weight in random_fan_ins(dag, together, count, draw).items():
                for key, values in weight.entries(dag.op(edge), edge).items():
                    state[key].copy_(values)
