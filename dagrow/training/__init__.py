"""The loop, its record, and what it leaves behind."""

from dagrow.training.directory import RunDirectory
from dagrow.training.epochs import Objective, Score, TrainingError, evaluate, make_optimizer, train_epoch
from dagrow.training.events import SCHEMA, journal_schema
from dagrow.training.grow import grow
from dagrow.training.history import growth_history
from dagrow.training.inspection import Moment, compare, moment, read_step, replay_run, run_directory
from dagrow.training.journal import Journal
from dagrow.training.log import candidates_table, history_table
from dagrow.training.reading import read_journal
from dagrow.training.recorded import Replay
from dagrow.training.result import GrowthResult

__all__ = [
    "SCHEMA",
    "GrowthResult",
    "Journal",
    "Moment",
    "Objective",
    "Replay",
    "RunDirectory",
    "Score",
    "TrainingError",
    "candidates_table",
    "compare",
    "evaluate",
    "grow",
    "growth_history",
    "history_table",
    "journal_schema",
    "make_optimizer",
    "moment",
    "read_journal",
    "read_step",
    "replay_run",
    "run_directory",
    "train_epoch",
]
