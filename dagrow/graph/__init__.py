"""The DAG over a spec: checks, order, shapes, costs, and where it can grow."""

from dagrow.graph.cost import Cost, cost
from dagrow.graph.dag import Dag
from dagrow.graph.sites import FixedSize, Reading, Site, site, sites

__all__ = ["Cost", "Dag", "FixedSize", "Reading", "Site", "cost", "site", "sites"]
