"""The growth of a run, read from its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from dagrow.errors import RunError
from dagrow.report import History, Step
from dagrow.spec import GraphSpec
from dagrow.training.result import inserted_text


def growth_history(events: Sequence[Mapping[str, Any]]) -> History | None:
    """The start of a run and its steps; None if the journal has no graphs, as those of early versions.

    Raises:
        RunError: if what stands there is not a graph.
    """
    told = [event for event in events if event["event"] in ("start", "growth")]
    if not told or told[0]["event"] != "start" or any("graph" not in event for event in told):
        return None
    start, *growth = told
    last = events[-1].get("train_loss") if events[-1]["event"] == "end" else None
    return History(_graph(start), tuple(_step(event) for event in growth), start.get("train_loss"), last)


def _step(event: Mapping[str, Any]) -> Step:
    inserted = event.get("inserted") or {}
    return Step(
        number=event["step"],
        graph=_graph(event),
        note=inserted_text(inserted) if inserted else event.get("reason", ""),
        gain=inserted.get("gain"),
        held_out_gain=inserted.get("held_out_gain"),
        loss=event.get("train_loss"),
    )


def _graph(event: Mapping[str, Any]) -> GraphSpec:
    try:
        return GraphSpec.model_validate(event["graph"])
    except ValidationError as error:
        first = error.errors()[0]
        place = " / ".join(map(str, first["loc"]))
        raise RunError(f"the journal's '{event['event']}' holds no graph: {place}: {first['msg']}") from error
