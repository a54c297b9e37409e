"""The loop, its record, and what it leaves behind."""

from dagrow.training.directory import RunDirectory
from dagrow.training.epochs import Objective, Score, TrainingError, evaluate, make_optimizer, train_epoch
from dagrow.training.events import SCHEMA, journal_schema
from dagrow.training.grow import grow, run_to_continue
from dagrow.training.history import growth_history
from dagrow.training.inspection import Moment, compare, moment, read_step, replay_run, run_directory
from dagrow.training.journal import Journal
from dagrow.training.log import candidates_table, history_table
from dagrow.training.prediction import Prediction, prediction_table
from dagrow.training.reading import read_journal
from dagrow.training.recorded import Replay
from dagrow.training.result import GrowthResult
from dagrow.training.revert import Reverted
from dagrow.training.revert import revert as revert_run
from dagrow.training.trained import TrainedModel, load_model

__all__ = [
    "SCHEMA",
    "GrowthResult",
    "Journal",
    "Moment",
    "Objective",
    "Prediction",
    "Replay",
    "Reverted",
    "RunDirectory",
    "Score",
    "TrainedModel",
    "TrainingError",
    "candidates_table",
    "compare",
    "evaluate",
    "grow",
    "growth_history",
    "history_table",
    "journal_schema",
    "load_model",
    "make_optimizer",
    "moment",
    "prediction_table",
    "read_journal",
    "read_step",
    "replay_run",
    "revert_run",
    "run_directory",
    "run_to_continue",
    "train_epoch",
]
