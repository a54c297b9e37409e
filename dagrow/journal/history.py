"""The growth of a run, read from its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dagrow.journal.replay import read_graph_entry
from dagrow.journal.tables import inserted_text
from dagrow.report import GrowthStep, History


def growth_history(events: Sequence[Mapping[str, Any]]) -> History | None:
    """The start of a run and its steps; None if the journal has no graphs, as those of early versions.

    Raises:
        RunError: if what stands there is not a graph.
    """
    told = [event for event in events if event["event"] in ("start", "growth", "removal")]
    if not told or told[0]["event"] != "start" or any("graph" not in event for event in told):
        return None
    start, *growth = told
    steps: list[GrowthStep] = []
    for event in growth:
        if event["event"] == "growth":
            steps.append(_step(event))
        elif steps:
            # What is taken away belongs to the step of the insertion before it.
            steps[-1] = replace(steps[-1], graph=read_graph_entry(event), loss=event.get("train_loss"))
    last = events[-1].get("train_loss") if events[-1]["event"] == "end" else None
    return History(read_graph_entry(start), tuple(steps), start.get("train_loss"), last)


def _step(event: Mapping[str, Any]) -> GrowthStep:
    inserted = event.get("inserted") or {}
    return GrowthStep(
        number=event["step"],
        graph=read_graph_entry(event),
        note=inserted_text(inserted) if inserted else event.get("reason", ""),
        gain=inserted.get("gain"),
        held_out_gain=inserted.get("held_out_gain"),
        loss=event.get("train_loss"),
    )
