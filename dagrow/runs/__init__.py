"""A run on disk: its directory, checkpoints, resuming and reverting, and the trained model in it."""

from dagrow.runs.directory import RunDirectory
from dagrow.runs.graph_lookup import GraphRef, diff_graphs, read_step, replay_run, resolve_graph, run_directory
from dagrow.runs.module_directory import ModuleRunDirectory
from dagrow.runs.module_lookup import events_of_run, resolve_sizes
from dagrow.runs.prediction import Prediction, prediction_table
from dagrow.runs.result import GrowthResult
from dagrow.runs.revert import Reverted
from dagrow.runs.revert import revert as revert_run
from dagrow.runs.trained_model import TrainedModel, load_model

__all__ = [
    "GraphRef",
    "GrowthResult",
    "ModuleRunDirectory",
    "Prediction",
    "Reverted",
    "RunDirectory",
    "TrainedModel",
    "diff_graphs",
    "events_of_run",
    "load_model",
    "prediction_table",
    "read_step",
    "replay_run",
    "resolve_graph",
    "resolve_sizes",
    "revert_run",
    "run_directory",
]
