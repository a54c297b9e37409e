"""The named learning-rate schedulers. A new one is a line in `SCHEDULERS`; its options are checked too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.optim import lr_scheduler

from dagrow.registry import Registry


@dataclass(frozen=True)
class Scheduler:
    """A learning-rate scheduler of a run file. It is told of every pass over the training set.

    Attributes:
        kind: its class in ``torch.optim.lr_scheduler``.
        reads_loss: whether it goes by the loss of the pass.
    """

    kind: Any
    reads_loss: bool = False


SCHEDULERS: Registry[Scheduler] = Registry(
    "scheduler",
    {
        "constant": Scheduler(lr_scheduler.ConstantLR),
        "linear": Scheduler(lr_scheduler.LinearLR),
        "step": Scheduler(lr_scheduler.StepLR),
        "multi_step": Scheduler(lr_scheduler.MultiStepLR),
        "exponential": Scheduler(lr_scheduler.ExponentialLR),
        "polynomial": Scheduler(lr_scheduler.PolynomialLR),
        "cosine": Scheduler(lr_scheduler.CosineAnnealingLR),
        "cosine_restarts": Scheduler(lr_scheduler.CosineAnnealingWarmRestarts),
        "plateau": Scheduler(lr_scheduler.ReduceLROnPlateau, reads_loss=True),
    },
)
