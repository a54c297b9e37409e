"""A journal as tables: the growth of a run, and all that was considered in one step of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagrow.errors import RunError, printable
from dagrow.report import number, table
from dagrow.report.ranks import rank_correlation

Entries = Mapping[str, Any]

_HEADER = (
    "step", "what", "gain", "held out", "first order", "parameters", "multiply-adds", "train loss", "test loss",
    "test acc.",
)  # fmt: skip


def history_table(events: Sequence[Entries]) -> str:
    """The growth steps of a journal, the start and the end of the run around them, then its warnings.

    A run that has not come to its end is said to be so.
    """
    body = [row for event in events if (row := _row(event)) is not None]
    lines = [table(_HEADER, body, left=2)]
    lines += _calibration(events)
    warnings = [event for event in events if event["event"] == "warning"]
    lines += [f"warning{_when(event)}: {printable(event.get('message', ''))}" for event in warnings]
    lines += [f"stopped: {printable(event.get('reason', ''))}" for event in events if event["event"] == "stopped"]
    if not any(event["event"] == "end" for event in events):
        done = max((event.get("epoch", 0) for event in events), default=0)
        lines.append(f"this run has not come to its end; {done} epochs are done")
    return "\n".join(lines)


def _calibration(events: Sequence[Entries]) -> list[str]:
    """How the gains at insertion, and their first-order predictions, stand to the gains some steps later."""
    later = {event["step"]: event for event in events if event["event"] == "calibration"}
    made = {event["step"]: event.get("inserted") or {} for event in events if event["event"] == "growth"}
    lines = []
    for step, event in later.items():
        gains = f"{number(event.get('gain'))}, on test samples {number(event.get('test_gain'))}"
        lines.append(f"step {step}: {event.get('steps')} gradient steps later its gain is {gains}")
    for key, name in (("gain", "gain"), ("held_out_gain", "held-out gain"), ("first_order_gain", "first-order gain")):
        pairs = [
            (made[step][key], event["gain"])
            for step, event in later.items()
            if step in made and made[step].get(key) is not None and event.get("gain") is not None
        ]
        squares = sum(a * a for a, _ in pairs)
        if (correlation := rank_correlation(pairs)) is not None and squares > 0:
            slope = sum(a * b for a, b in pairs) / squares
            lines.append(f"{name} and gain later: rank correlation {correlation:.2f}, slope {slope:.3g}")
    return lines


def _row(event: Entries) -> list[str] | None:
    match event["event"]:
        case "start" | "end":
            return [event["event"], "", "", "", "", *_state(event)]
        case "growth":
            inserted = event.get("inserted")
            silent = ", zero fan-out" if event.get("insert") in ("silent", "zero_fan_out_unscaled") else ""
            what = inserted_text(inserted) + silent if inserted else event.get("reason") or "nothing"
            return [str(event["step"]), what, *_gains(inserted or {}), *_state(event)]
        case "removal" if event.get("removed"):
            removed = event["removed"]
            return [str(event["step"]), f"removed {removed.get('place')}", *_gains(removed), *_state(event)]
    return None


def _gains(entry: Entries) -> list[str]:
    return [number(entry.get(key)) for key in ("gain", "held_out_gain", "first_order_gain")]


def _state(event: Entries) -> list[str]:
    test = event.get("test") or {}
    sizes = [str(event.get(key, "-")) for key in ("parameters", "multiply_adds")]
    return [*sizes, *(number(value) for value in (event.get("train_loss"), test.get("loss"), test.get("accuracy")))]


def _when(event: Entries) -> str:
    step = event.get("step")
    return f" in epoch {event.get('epoch', '?')}" if step is None else f" in step {step}"


def inserted_text(entry: Entries) -> str:
    """``h +4`` for four more features at h; other kinds by their names."""
    place, neurons = entry.get("place"), entry.get("neurons")
    return f"{place} +{neurons}" if neurons else f"{place} {entry.get('kind')}"


def candidates_table(events: Sequence[Entries], step: int) -> str:
    """All that was considered in one growth step, best first, with its fate.

    Raises:
        RunError: if the journal has no such step.
    """
    found = [event for event in events if event["event"] in ("growth", "removal") and event["step"] == step]
    if not found:
        last = max((event["step"] for event in events if event["event"] == "growth"), default=0)
        raise RunError(f"there is no growth step {step}; the journal has {last}")
    return "\n\n".join(_considered(event) for event in found)


def _considered(event: Entries) -> str:
    plan = event.get("plan") or {}
    made = event.get("inserted") or event.get("removed")
    held = "" if plan.get("held_out_loss") is None else f", held out {number(plan['held_out_loss'], 6)}"
    loss = f"loss {number(plan.get('loss'), 6)}{held} on {plan.get('samples', '?')} samples"
    header = ("place", "kind", "neurons", "gain", "held out", "first order", "amplitude", "parameters", "")
    body = [
        [
            str(entry.get("place")),
            str(entry.get("kind")),
            str(entry.get("neurons")),
            *_gains(entry),
            number(entry.get("amplitude"), 3),
            f"{entry.get('parameters', 0):+d}",
            entry.get("rejected") or ("made" if entry == made else ""),
        ]
        for entry in plan.get("candidates") or ()
    ]
    title = f"step {event['step']}, {event['event']}: {loss}; best by {printable(plan.get('where', '?'))}"
    return "\n".join([title, table(header, body, left=2) if body else "no candidates"])
