"""What a run hands back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagrow.build import Network
from dagrow.report import number, table
from dagrow.training.epochs import Score


@dataclass(frozen=True)
class GrowthResult:
    """The end of a run.

    Attributes:
        model: the grown network, in eval mode.
        train: its score on the training samples.
        test: its score on the test samples.
        events: the journal.
        out: the run directory; None if nothing was written.
    """

    model: Network
    train: Score
    test: Score
    events: tuple[dict[str, Any], ...]
    out: Path | None = None

    def __str__(self) -> str:
        return history_table(self.events)


def history_table(events: Sequence[dict[str, Any]]) -> str:
    """The growth steps of a journal as a table, the start and the end of the run around them."""
    header = (
        "step",
        "inserted",
        "gain",
        "held out",
        "first order",
        "parameters",
        "train loss",
        "test loss",
        "test acc.",
    )
    body = []
    for event in events:
        scores = [
            number(event.get("train_loss")),
            number((event.get("test") or {}).get("loss")),
            number((event.get("test") or {}).get("accuracy")),
        ]
        parameters = str(event.get("parameters", "-"))
        if event["event"] == "start":
            body.append(["start", "", "", "", "", parameters, *scores])
        elif event["event"] == "growth":
            inserted = event.get("inserted")
            what = inserted_text(inserted) if inserted else event.get("reason", "nothing")
            gains = [number((inserted or {}).get(key)) for key in ("gain", "held_out_gain", "first_order_gain")]
            body.append([str(event["step"]), what, *gains, parameters, *scores])
        elif event["event"] == "end":
            body.append(["end", "", "", "", "", parameters, *scores])
    return table(header, body, left=2)


def inserted_text(entry: dict[str, Any]) -> str:
    """``h +4`` for four more features at h; other kinds by their names."""
    return f"{entry['place']} +{entry['neurons']}" if entry["neurons"] else f"{entry['place']} {entry['kind']}"
