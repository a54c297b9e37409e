"""The phases of a run that rewinds, and where it stands in them (Philipp & Carbonell 2017, 7.4)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dagrow.spec import RunSpec

SMALLEST_SCALE = 1e-6
"""Rounds end here in any case: by the running averages of a norm, the error goes on changing without any step."""


class Phase(StrEnum):
    """Each ends when the held-out score has not become better for some passes."""

    GROW = "grow"
    """Units come and go."""
    SETTLE = "settle"
    """None comes any more; the phase goes on as long as some go."""
    FREE = "free"
    """Without the penalty."""
    ANNEAL = "anneal"
    """Rounds of ever smaller steps."""


@dataclass
class AnnealState:
    """Where a run stands.

    Attributes:
        phase: of the run.
        best: the lowest held-out error of the phase.
        epochs_since_best: passes since then, or since a unit went while the network settles.
        scale: of the learning rate, relative to the run file.
        moved: whether the error has changed at all in this round of smaller steps.
        kept: network and optimizer as they were then; None before the first pass.
        kept_error: their held-out error.
        kept_scale: their `scale`.
    """

    phase: Phase = Phase.FREE
    best: float = math.inf
    epochs_since_best: int = 0
    scale: float = 1.0
    moved: bool = False
    kept: Mapping[str, Any] | None = None
    kept_error: float = math.inf
    kept_scale: float = 1.0

    @classmethod
    def at_start(cls, run: RunSpec) -> AnnealState:
        """In the first phase that there is something to do in."""
        if run.growth.continuous_growth is not None:
            return cls(Phase.GROW)
        return cls(Phase.FREE if run.training.penalty is None else Phase.SETTLE)

    @property
    def adding(self) -> bool:
        """Whether units may be added."""
        return self.phase is Phase.GROW

    @property
    def shrinking(self) -> bool:
        """Whether the penalty counts."""
        return self.phase in (Phase.GROW, Phase.SETTLE)

    def note(self, error: float, removed: int) -> bool:
        """Takes in the held-out error after a pass; whether the state now is the one to come back to."""
        self.moved = self.moved or error != self.kept_error
        better = error < self.best
        self.best = min(self.best, error)
        if better or (self.phase is Phase.SETTLE and removed):
            self.epochs_since_best = 0
            return True
        self.epochs_since_best += 1
        return False

    def next_phase(self, factor: float) -> bool:
        """Goes on to the next phase, or round, from the kept state; False if smaller steps change nothing any more."""
        if self.phase is Phase.ANNEAL and not (self.moved and self.scale > SMALLEST_SCALE):
            return False
        order = list(Phase)
        self.scale /= factor if self.phase in (Phase.FREE, Phase.ANNEAL) else 1.0
        self.phase = order[min(order.index(self.phase) + 1, len(order) - 1)]
        self.best, self.epochs_since_best, self.moved = self.kept_error, 0, False
        return True
