"""The DAG over a spec: checks, order, shapes, costs, and where it can grow."""

from dagrow.graph.cost import Cost, cost
from dagrow.graph.dag import Dag
from dagrow.graph.load import load_graph, load_run
from dagrow.graph.sites import FixedSize, Reading, Site, site, sites

__all__ = ["Cost", "Dag", "FixedSize", "Reading", "Site", "cost", "load_graph", "load_run", "site", "sites"]
