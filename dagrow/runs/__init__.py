"""A run on disk: its directory, checkpoints, resuming and reverting, and the trained model in it."""

from dagrow.runs.directory import RunDirectory
from dagrow.runs.graph_lookup import GraphRef, diff_graphs, read_step, replay_run, resolve_graph, run_directory
from dagrow.runs.prediction import Prediction, prediction_table
from dagrow.runs.result import GrowthResult
from dagrow.runs.revert import Reverted
from dagrow.runs.revert import revert as revert_run
from dagrow.runs.trained_model import TrainedModel, load_model

__all__ = [
    "GraphRef",
    "GrowthResult",
    "Prediction",
    "Reverted",
    "RunDirectory",
    "TrainedModel",
    "diff_graphs",
    "load_model",
    "prediction_table",
    "read_step",
    "replay_run",
    "resolve_graph",
    "revert_run",
    "run_directory",
]
