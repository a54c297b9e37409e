"""The DAG over a spec: checks, order, shapes, costs, and where it can grow."""

from dagrow.graph.changes import Changes, Difference, changes
from dagrow.graph.cost import (
    Cost,
    backward_work,
    cost,
    edge_work,
    forward_work,
    stage_parameters,
    training_macs,
    widest_fan_in,
)
from dagrow.graph.dag import Dag
from dagrow.graph.feature_units import feature_units
from dagrow.graph.insertions import NodeTemplate, leading_op, new_edge, new_node, split_edge
from dagrow.graph.load import checked_run, load_graph, load_run
from dagrow.graph.run_checks import RUN_CHECKS, run_problems
from dagrow.graph.sites import ChannelRange, Consumer, GrowableNode, NotGrowable, in_concat, site, sites, span
from dagrow.graph.structure import Structure, fresh_name

__all__ = [
    "RUN_CHECKS",
    "Changes",
    "ChannelRange",
    "Consumer",
    "Cost",
    "Dag",
    "Difference",
    "GrowableNode",
    "NodeTemplate",
    "NotGrowable",
    "Structure",
    "backward_work",
    "changes",
    "checked_run",
    "cost",
    "edge_work",
    "feature_units",
    "forward_work",
    "fresh_name",
    "in_concat",
    "leading_op",
    "load_graph",
    "load_run",
    "new_edge",
    "new_node",
    "run_problems",
    "site",
    "sites",
    "span",
    "split_edge",
    "stage_parameters",
    "training_macs",
    "widest_fan_in",
]
