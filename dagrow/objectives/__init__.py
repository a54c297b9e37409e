"""What training minimises and with what: the named losses, optimizers and schedulers of a run file."""

from dagrow.objectives.losses import LOSSES, Loss
from dagrow.objectives.optimizers import OPTIMIZERS
from dagrow.objectives.schedulers import SCHEDULERS, Scheduler

__all__ = ["LOSSES", "OPTIMIZERS", "SCHEDULERS", "Loss", "Scheduler"]
