"""What a schedule decides: when the network trains, when it grows, when growth ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum

from dagrow.spec import RunSpec
from dagrow.training.progress import Progress


class Unit(Enum):
    """The pieces of a run: each is done wholly or not at all, and between two of them it can be stopped."""

    START = "start"
    EPOCH = "epoch"
    GROWTH = "growth"
    FINISH = "finish"
    """The final training begins: from the best network, on all training samples."""
    END = "end"


class Schedule(ABC):
    """Decides from the run file and what is done what comes next. A new one is a file here and a registry line."""

    by_validation: bool = False
    """Training is judged by the loss on the validation samples."""
    by_width: bool = False
    """A growth step is about one place, adds in proportion to its width, and pads what the method finds."""

    @abstractmethod
    def next_unit(self, run: RunSpec, done: Progress) -> Unit:
        """What comes after what is done, once the run has started."""

    @abstractmethod
    def growth_is_over(self, run: RunSpec, done: Progress) -> bool:
        """Whether only the final training is left."""

    @abstractmethod
    def planned(self, run: RunSpec) -> int:
        """Units of training before a growth step, as far as one knows; 0 if there is no training at all."""

    @abstractmethod
    def gradient_steps(self, run: RunSpec, done: Progress, batches: int) -> int:
        """Of the next unit of training, where a pass over the training set has so many batches."""

    @abstractmethod
    def after_training(self, run: RunSpec, done: Progress, loss: float, error: float) -> Progress:
        """One more unit of training, after which the loss and the error are these."""

    @abstractmethod
    def after_growth(self, run: RunSpec, done: Progress, gained: bool, places: int, changed: bool) -> Progress:
        """One more growth step.

        Args:
            run: the run file.
            done: before it.
            gained: whether something was inserted, or would have gained beside an update that was taken.
            places: that take turns, of which this step was about one; 1 where it was about all of them.
            changed: whether the network is another one: something was inserted, or weights were updated.
        """
