"""What a graph costs: parameters and multiply-adds, from the spec alone."""

from __future__ import annotations

from typing import NamedTuple

from dagrow.graph.dag import Dag


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
    # Both norms learn a scale and a shift per feature.
    parameters += sum(2 * dag.size(v) for v in dag.order if dag.node(v).norm != "none")
    return Cost(parameters, multiply_adds)
