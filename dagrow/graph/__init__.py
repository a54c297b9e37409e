"""The DAG over a spec: checks, order, shapes, costs, and where it can grow."""

from dagrow.graph.chain import NoChain, relu_chain
from dagrow.graph.changes import Changes, Difference, changes
from dagrow.graph.cost import Cost, cost
from dagrow.graph.dag import Dag
from dagrow.graph.insertions import NodeTemplate, leading_op, new_edge, new_node, split_edge
from dagrow.graph.load import load_graph, load_run
from dagrow.graph.sites import FixedSize, Reading, Site, site, sites
from dagrow.graph.structure import Structure, fresh_name

__all__ = [
    "Changes",
    "Cost",
    "Dag",
    "Difference",
    "FixedSize",
    "NoChain",
    "NodeTemplate",
    "Reading",
    "Site",
    "Structure",
    "changes",
    "cost",
    "fresh_name",
    "leading_op",
    "load_graph",
    "load_run",
    "new_edge",
    "new_node",
    "relu_chain",
    "site",
    "sites",
    "split_edge",
]
