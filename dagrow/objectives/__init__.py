"""What training minimises and with what: the named losses and optimizers of a run file."""

from dagrow.objectives.losses import LOSSES, Loss
from dagrow.objectives.optimizers import OPTIMIZERS

__all__ = ["LOSSES", "OPTIMIZERS", "Loss"]
