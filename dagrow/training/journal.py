"""The record of a run: one JSON line per event, in the order in which things happened."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagrow.errors import RunError
from dagrow.planner import Candidate, Plan

SCHEMA = 1


@dataclass
class Journal:
    """Appends events to a file, or keeps them in memory only.

    Attributes:
        path: of the file; None for none.
        events: all events of this process.
    """

    path: Path | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def write(self, event: str, **entries: Any) -> None:
        """Adds one event; what is no JSON number (inf, nan) is written as null."""
        line = {"event": event, **_plain(entries)}
        self.events.append(line)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The events of a journal file.

    Raises:
        RunError: if the file is missing or not a journal.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read as a journal ({error})") from error
    events = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            event = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise RunError(f"{path}:{number}: not a line of a journal ({error})") from error
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise RunError(f"{path}:{number}: not a line of a journal (no 'event')")
        events.append(event)
    return events


def plan_entry(plan: Plan) -> dict[str, Any]:
    """A plan as it is kept in the journal."""
    return {
        "loss": plan.loss,
        "held_out_loss": plan.held_out_loss,
        "samples": plan.samples,
        "where": plan.where,
        "stages": plan.stages._asdict(),
        "candidates": [candidate_entry(candidate) for candidate in plan.candidates],
        "fixed": [{"node": place.node, "reason": place.reason} for place in plan.fixed],
    }


def candidate_entry(candidate: Candidate) -> dict[str, Any]:
    """A candidate as it is kept in the journal: all but its tensors."""
    return {
        "kind": candidate.kind,
        "place": candidate.place,
        "neurons": candidate.neurons,
        "gain": candidate.gain,
        "held_out_gain": candidate.held_out_gain,
        "first_order_gain": candidate.first_order_gain,
        "slope": candidate.slope,
        "amplitude": candidate.amplitude,
        "scores": list(candidate.scores),
        "noise_level": candidate.noise_level,
        "shrinkage": candidate.shrinkage,
        "parameters": candidate.cost.parameters,
        "multiply_adds": candidate.cost.multiply_adds,
        "rejected": candidate.rejected,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
