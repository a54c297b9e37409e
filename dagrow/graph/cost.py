"""What a graph costs: parameters and multiply-adds, from the spec alone."""

from __future__ import annotations

from typing import NamedTuple

from dagrow.graph.dag import Dag
from dagrow.ops import NORMS


class Cost(NamedTuple):
    """Size of a network, or the size that an insertion adds.

    Attributes:
        parameters: learned numbers, those of norms included.
        multiply_adds: of the edges, for one sample.
    """

    parameters: int
    multiply_adds: int

    def minus(self, other: Cost) -> Cost:
        """The difference, entry by entry."""
        return Cost(self.parameters - other.parameters, self.multiply_adds - other.multiply_adds)


def cost(dag: Dag) -> Cost:
    """The cost of a whole graph."""
    parameters = multiply_adds = 0
    for edge, op in dag.spec.edges.items():
        source, target = dag.output(edge.source), dag.written(edge)
        parameters += op.parameter_count(source, target)
        multiply_adds += op.multiply_adds(source, target)
    return Cost(parameters + sum(norm_parameters(dag, v) for v in dag.order), multiply_adds)


def norm_parameters(dag: Dag, name: str) -> int:
    """Learned numbers of the norm of a node."""
    norm = dag.node(name).norm
    return 0 if norm == "none" else NORMS[norm].parameters_per_feature * dag.size(name)
