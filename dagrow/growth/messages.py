"""What a run tells a person about its growth steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagrow.graph import cost
from dagrow.growth.growth_step import StepOutcome
from dagrow.journal.tables import inserted_text
from dagrow.report import number
from dagrow.training.epochs import Score
from dagrow.training.state import RunState

_SHOWN = 5


def step_text(outcome: StepOutcome, state: RunState, test: Score) -> str:
    """A growth step in some lines.

    Args:
        outcome: what it did.
        state: after it.
        test: the score after it.
    """
    step, best = outcome.entries["step"], outcome.made
    if best is None:
        return f"step {step}: {outcome.entries['reason']}{_tried(outcome.entries)}\n{_others(outcome)}".rstrip()
    held = "" if best.held_out_gain is None else f", held out {best.held_out_gain:.4g}"
    silent = ", zero fan-out" if outcome.entries["insert"] == "zero_fan_out_unscaled" else ""
    line = (
        f"step {step}: {inserted_text(outcome.entries['inserted'])}  gain {best.gain:.4g}{held}, "
        f"amplitude {best.amplitude:.3g}{silent}; now {cost(state.network.dag).parameters} parameters, test {test}"
    )
    told = "" if best.why is None else f"\n    {best.why}"
    return f"{line}{told}{_tried(outcome.entries)}\n{_others(outcome)}"


def epoch_text(epoch: int, loss: float, validation: Score | None) -> str:
    """The metrics of an epoch in short.

    Args:
        epoch: its number, from 1.
        loss: mean of the training loss over it.
        validation: the score on validation samples, where it is known.
    """
    judged = "" if validation is None else f", validation {validation}"
    return f"epoch {epoch}: loss {loss:.4g}{judged}"


def removal_text(outcome: StepOutcome) -> str:
    """What was taken away after an insertion, in a line."""
    if outcome.made is None:
        return "    nothing could be removed"
    return f"    removed {outcome.made.place}, gain {outcome.made.gain:.4g}"


def calibration_text(entries: Mapping[str, Any]) -> str:
    """What an insertion was worth some gradient steps later, in a line."""
    if entries["gain"] is None:
        return f"    {entries['steps']} gradient steps later: no numbers"
    later = f"{entries['gain']:.4g} on training samples, {entries['test_gain']:.4g} on test samples"
    return f"    {entries['steps']} gradient steps later, gain over a twin that did not grow: {later}"


def _tried(entries: Mapping[str, Any]) -> str:
    """What each candidate that was tried out had gained in the end."""
    tried = entries.get("tryout") or ()
    return "".join(
        f"\n    tried {e['kind']} {e['place']}: gain {number(e['gain'])} after {e['steps']} gradient steps"
        for e in tried
    )


def _others(outcome: StepOutcome) -> str:
    """The candidates in short, the one that was made left out."""
    plan = outcome.plan
    if plan is None:
        return ""
    others = [c for c in plan.candidates if c is not outcome.made]
    lines = [
        f"    also {c.kind} {c.place}: " + (c.rejected or f"+{c.neurons}, gain {c.validation_gain:.4g}")
        for c in others[:_SHOWN]
    ]
    if len(others) > _SHOWN:
        lines.append(f"    and {len(others) - _SHOWN} more, see the journal")
    if not plan.candidates:
        lines = [f"    {place.node}: {place.reason}" for place in plan.not_growable[:_SHOWN]]
    return "\n".join(lines) or "    no other place could grow"
