"""A run on disk: its directory, checkpoints, resuming and reverting, and the trained model in it."""

from dagrow.runs.directory import RunDirectory
from dagrow.runs.graph_lookup import Moment, compare, moment, read_step, replay_run, run_directory
from dagrow.runs.prediction import Prediction, prediction_table
from dagrow.runs.result import GrowthResult
from dagrow.runs.revert import Reverted
from dagrow.runs.revert import revert as revert_run
from dagrow.runs.trained_model import TrainedModel, load_model

__all__ = [
    "GrowthResult",
    "Moment",
    "Prediction",
    "Reverted",
    "RunDirectory",
    "TrainedModel",
    "compare",
    "load_model",
    "moment",
    "prediction_table",
    "read_step",
    "replay_run",
    "revert_run",
    "run_directory",
]
