"""The loop, its record, and what it leaves behind."""

from dagrow.training.directory import RunDirectory
from dagrow.training.epochs import Objective, Score, TrainingError, evaluate, make_optimizer, train_epoch
from dagrow.training.grow import grow, run_to_continue
from dagrow.training.history import growth_history
from dagrow.training.journal import Journal, read_journal
from dagrow.training.result import GrowthResult, history_table

__all__ = [
    "GrowthResult",
    "Journal",
    "Objective",
    "RunDirectory",
    "Score",
    "TrainingError",
    "evaluate",
    "grow",
    "growth_history",
    "history_table",
    "make_optimizer",
    "read_journal",
    "run_to_continue",
    "train_epoch",
]
