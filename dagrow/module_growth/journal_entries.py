"""What the journal tells of proposals and growth steps of a module, and growth steps read from it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagrow.module_growth.candidate import ModulePlan, SpaceCandidate


@dataclass(frozen=True)
class GrowthRecord:
    """One growth step.

    Attributes:
        epoch: after which it came, from 1.
        space: that grew; the empty string if none did.
        channels: new ones.
        size: of the space afterwards.
        gain: measured drop of the loss.
        parameters: of the module afterwards.
    """

    epoch: int
    space: str
    channels: int
    size: int
    gain: float
    parameters: int

    def __str__(self) -> str:
        if not self.space:
            return "no space gains"
        return f"{self.space}: {self.channels} more channels, {self.size} in all, gain {self.gain:.5g}"


def plan_entry(plan: ModulePlan) -> dict[str, Any]:
    """A plan as it is kept in the journal."""
    measured = sum(candidate.slope is not None for candidate in plan.candidates)
    return {
        "loss": plan.loss,
        "held_out_loss": plan.held_out_loss,
        "samples": plan.samples,
        "where": "gain",
        "stages": {"considered": len(plan.candidates), "searched": measured},
        "candidates": [candidate_entry(candidate) for candidate in plan.candidates],
        "fixed": [{"node": name, "reason": reason} for name, reason in plan.fixed],
    }


def candidate_entry(candidate: SpaceCandidate) -> dict[str, Any]:
    """A candidate as it is kept in the journal: all but its weights."""
    return {
        "kind": "widen",
        "place": candidate.space,
        "neurons": candidate.channels,
        "gain": candidate.gain,
        "held_out_gain": candidate.held_out_gain,
        "first_order_gain": None if candidate.slope is None else candidate.slope * candidate.amplitude,
        "slope": candidate.slope,
        "amplitude": candidate.amplitude,
        "scores": list(candidate.scores),
        "noise_level": None,
        "bottleneck": candidate.bottleneck,
        "shrinkage": candidate.shrinkage,
        "parameters": candidate.parameters,
        "multiply_adds": None,
        "rejected": candidate.rejected,
        **({"why": {"note": candidate.note}} if candidate.note else {}),
    }


def insertion_of(candidate: SpaceCandidate, silent: bool) -> str:
    """How a candidate enters, in the words of ``growth.insert``."""
    if candidate.copies:
        return "copies"
    silently = candidate.weights is None or (silent and candidate.slope is not None)
    return "zero_fan_out_unscaled" if silently else "amplitude"


def growth_record(event: Mapping[str, Any]) -> GrowthRecord:
    """The growth step that an event tells."""
    made, parameters = event["inserted"], int(event["parameters"])
    if made is None:
        return GrowthRecord(int(event["epoch"]), "", 0, 0, 0.0, parameters)
    place = str(made["place"])
    gain = float("nan") if made["gain"] is None else float(made["gain"])
    return GrowthRecord(int(event["epoch"]), place, int(made["neurons"]), event["spaces"][place], gain, parameters)


def loss_of(event: Mapping[str, Any]) -> float:
    """The mean loss of an epoch."""
    return float("nan") if event["running_loss"] is None else float(event["running_loss"])
