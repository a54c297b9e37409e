"""The DAG over a spec: checks, order, shapes, costs, and where it can grow."""

from dagrow.graph.changes import Changes, Difference, changes
from dagrow.graph.cost import Cost, cost
from dagrow.graph.dag import Dag
from dagrow.graph.load import load_graph, load_run
from dagrow.graph.sites import FixedSize, Reading, Site, site, sites

__all__ = [
    "Changes",
    "Cost",
    "Dag",
    "Difference",
    "FixedSize",
    "Reading",
    "Site",
    "changes",
    "cost",
    "load_graph",
    "load_run",
    "site",
    "sites",
]
