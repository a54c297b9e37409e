"""The loop, its record, and what it leaves behind."""

from dagrow.growth.grow import run_to_continue
from dagrow.journal.events import SCHEMA, journal_schema
from dagrow.journal.history import growth_history
from dagrow.journal.reader import read_journal
from dagrow.journal.replay import Replay
from dagrow.journal.tables import candidates_table, history_table
from dagrow.journal.writer import Journal
from dagrow.runs.directory import RunDirectory
from dagrow.runs.graph_lookup import GraphRef, diff_graphs, read_step, replay_run, resolve_graph, run_directory
from dagrow.runs.prediction import Prediction, prediction_table
from dagrow.runs.result import GrowthResult
from dagrow.runs.revert import Reverted
from dagrow.runs.revert import revert as revert_run
from dagrow.runs.trained_model import TrainedModel, load_model
from dagrow.training.epochs import Objective, Score, TrainingError, evaluate, make_optimizer, train_epoch
from dagrow.training.public import grow

__all__ = [
    "SCHEMA",
    "GraphRef",
    "GrowthResult",
    "Journal",
    "Objective",
    "Prediction",
    "Replay",
    "Reverted",
    "RunDirectory",
    "Score",
    "TrainedModel",
    "TrainingError",
    "candidates_table",
    "diff_graphs",
    "evaluate",
    "grow",
    "growth_history",
    "history_table",
    "journal_schema",
    "load_model",
    "make_optimizer",
    "prediction_table",
    "read_journal",
    "read_step",
    "replay_run",
    "resolve_graph",
    "revert_run",
    "run_directory",
    "run_to_continue",
    "train_epoch",
]
