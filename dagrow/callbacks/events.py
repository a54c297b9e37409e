"""The events of a run, as callbacks get them: frozen plain data.

Scores are mappings with the entries ``loss``, ``accuracy`` (None for a regression), ``r2`` and ``mae`` (None for
classes). Candidates are mappings with the entries of the journal: ``kind``, ``place``, ``neurons``, ``gain``,
``held_out_gain``, ``first_order_gain``, ``amplitude``, ``parameters``, ``multiply_adds``, ``rejected``, ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Entries = Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """Base of all events.

    Attributes:
        epoch: units of training so far: passes over the training set, or as the schedule has it.
        step: growth steps so far.
    """

    epoch: int
    step: int


@dataclass(frozen=True)
class RunBegin(Event):
    """The run begins, or goes on where it was stopped.

    Attributes:
        resumed: whether it goes on from a checkpoint.
        metrics: names of the metrics that will be measured.
    """

    resumed: bool = False
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpochEnd(Event):
    """A unit of training has ended.

    Attributes:
        loss: mean training loss over it; None where it was no number.
        learning_rate: of the first parameter group, as the next unit begins with it.
        seconds: that it took.
        validation: score on the validation samples, where the run has some.
        metrics: by name, on the validation samples; on the test samples where there are none.
    """

    loss: float | None
    learning_rate: float
    seconds: float
    validation: Entries | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Growth(Event):
    """A growth step has ended, whether or not anything was inserted.

    Attributes:
        candidates: all that were considered, best first; empty where there were no numbers to make them of.
        chosen: the candidate that was inserted; None if none was.
        gain: drop of the loss that the chosen one was measured to bring; None if none was chosen.
        reason: why nothing was inserted; None if something was.
        train: score on the training samples after the step.
        test: score on the test samples after the step.
        parameters: of the network after the step.
        validation: score on the validation samples, where the run has some.
        metrics: as in `EpochEnd`.
    """

    candidates: tuple[Entries, ...]
    chosen: Entries | None
    gain: float | None
    reason: str | None
    train: Entries
    test: Entries
    parameters: int
    validation: Entries | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Insertion(Event):
    """Something was inserted into the network.

    Attributes:
        kind: ``widen``, ``node``, ``edge``, ``layer``, ...
        place: where, as the journal names it.
        neurons: how many new ones.
        gain: drop of the loss that was measured for it.
        mode: of insertion: ``amplitude``, ``zero_fan_out_unscaled``, ``zero_fan_out``.
        parameters: of the network afterwards.
    """

    kind: str
    place: str
    neurons: int
    gain: float | None
    mode: str | None
    parameters: int


@dataclass(frozen=True)
class Removal(Event):
    """An edge or node was removed after an insertion.

    Attributes:
        place: what.
        gain: change of the loss, above 0 where it fell.
        parameters: of the network afterwards.
    """

    place: str
    gain: float | None
    parameters: int


@dataclass(frozen=True)
class TakenBack(Event):
    """A unit of training was taken back: network and optimizer are those before it.

    Attributes:
        loss: mean training loss of the unit.
        reason: in words.
    """

    loss: float | None
    reason: str


@dataclass(frozen=True)
class FinalTraining(Event):
    """Growth is over, the final training begins.

    Attributes:
        epochs: units of training that follow at most.
        parameters: of the network.
    """

    epochs: int
    parameters: int


@dataclass(frozen=True)
class RunEnd(Event):
    """The run has ended, and its files are written.

    Attributes:
        train: score on the training samples.
        test: score on the test samples.
        parameters: of the network.
        metrics: by name, on the test samples.
    """

    train: Entries
    test: Entries
    parameters: int
    metrics: Mapping[str, float | None] = field(default_factory=dict)
