"""The DAG over a spec: checks, order, shapes, costs, and where it can grow."""

from dagrow.graph.changes import Changes, Difference, changes
from dagrow.graph.cost import Cost, cost, norm_parameters
from dagrow.graph.dag import Dag
from dagrow.graph.insertions import NodeTemplate, leading_op, new_edge, new_node, split_edge
from dagrow.graph.load import load_graph, load_run
from dagrow.graph.nonparametric import growing_nodes, nonparametric_problems
from dagrow.graph.sites import FixedSize, Reading, Site, Span, site, sites, span
from dagrow.graph.structure import Structure, fresh_name

__all__ = [
    "Changes",
    "Cost",
    "Dag",
    "Difference",
    "FixedSize",
    "NodeTemplate",
    "Reading",
    "Site",
    "Span",
    "Structure",
    "changes",
    "cost",
    "fresh_name",
    "growing_nodes",
    "leading_op",
    "load_graph",
    "load_run",
    "new_edge",
    "new_node",
    "nonparametric_problems",
    "norm_parameters",
    "site",
    "sites",
    "span",
    "split_edge",
]
