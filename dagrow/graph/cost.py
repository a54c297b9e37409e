"""What a graph costs: parameters and multiply-adds, from the spec alone."""

from __future__ import annotations

from typing import NamedTuple

from dagrow.graph.dag import Dag
from dagrow.spec.graph import EdgeId
from dagrow.stages import used_stages


class Cost(NamedTuple):
    """Size of a network, or the size that an insertion adds.

    Attributes:
        parameters: learned numbers, those of norms included.
        multiply_adds: of edges and attention, for one sample.
    """

    parameters: int
    multiply_adds: int

    def minus(self, other: Cost) -> Cost:
        """The difference, entry by entry."""
        return Cost(self.parameters - other.parameters, self.multiply_adds - other.multiply_adds)


def cost(dag: Dag) -> Cost:
    """The cost of a whole graph."""
    stages = sum(stage_parameters(dag, v) for v in dag.order)
    return Cost(sum(dag.parameters.values()) + stages, forward_work(dag))


def stage_parameters(dag: Dag, name: str) -> int:
    """Learned numbers of the stages of a node: those of its norm."""
    node = dag.node(name)
    return sum(stage.parameter_count(node, shape) for stage, shape in used_stages(node, dag.merged(name)))


def widest_fan_in(dag: Dag) -> tuple[str, int]:
    """The node whose weighted edges read the most features together, and how many; a growth step there squares them."""

    def width(name: str) -> int:
        weighted = [edge for edge in dag.incoming[name] if dag.op(edge).parametrised]
        return sum(dag.op(edge).feature_count(dag.output(edge.source)) for edge in weighted)

    return max(((name, width(name)) for name in dag.order), key=lambda entry: entry[1])


def edge_work(dag: Dag, edge: EdgeId) -> int:
    """Multiply-adds of one edge for one sample."""
    return dag.multiply_adds[edge]


def forward_work(dag: Dag) -> int:
    """Multiply-adds of a forward pass of one sample."""
    return sum(dag.multiply_adds.values()) + dag.stage_multiply_adds


def backward_work(dag: Dag) -> int:
    """Multiply-adds by which gradients of one sample go back to the nodes; those of weights come on top."""
    edges = sum(work for edge, work in dag.multiply_adds.items() if edge.source not in dag.spec.inputs)
    return edges + dag.stage_multiply_adds


def training_macs(dag: Dag) -> int:
    """Multiply-adds of one sample in a step of gradient descent: forward, back to the nodes, and to the weights."""
    return 2 * forward_work(dag) + backward_work(dag)
