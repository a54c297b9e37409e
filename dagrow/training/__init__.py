"""Training: epochs, what a run is about, the state that it is in, and the schedule that says what comes next."""

from dagrow.training.epochs import Objective, Score, TrainingError, evaluate, make_optimizer, train_epoch

__all__ = ["Objective", "Score", "TrainingError", "evaluate", "make_optimizer", "train_epoch"]
