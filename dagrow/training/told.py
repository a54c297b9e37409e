"""What a run tells a person about its growth steps."""

from __future__ import annotations

from dagrow.graph import cost
from dagrow.planner import Plan
from dagrow.training.epochs import Score
from dagrow.training.growth_step import StepOutcome
from dagrow.training.result import inserted_text
from dagrow.training.state import RunState

_SHOWN = 5


def step_text(outcome: StepOutcome, state: RunState, test: Score) -> str:
    """A growth step in some lines.

    Args:
        outcome: what it did.
        state: after it.
        test: the score after it.
    """
    step, best = outcome.entries["step"], outcome.inserted
    if best is None:
        return f"step {step}: {outcome.entries['reason']}\n{_others(outcome.plan)}"
    held = "" if best.held_out_gain is None else f", held out {best.held_out_gain:.4g}"
    lines = [
        f"step {step}: {inserted_text(outcome.entries['inserted'])}  gain {best.gain:.4g}{held}, "
        f"amplitude {best.amplitude:.3g}; now {cost(state.network.dag).parameters} parameters, test {test}"
    ]
    if removed := outcome.entries.get("removed"):
        lines.append(f"    removed {removed['place']}, gain {removed['gain']:.4g}")
    return "\n".join([*lines, _others(outcome.plan)])


def _others(plan: Plan) -> str:
    """The candidates in short, the best left out."""
    others = [c for c in plan.candidates if c is not plan.best]
    lines = [
        f"    also {c.kind} {c.place}: " + (c.rejected or f"+{c.neurons}, gain {c.decisive_gain:.4g}")
        for c in others[:_SHOWN]
    ]
    if len(others) > _SHOWN:
        lines.append(f"    and {len(others) - _SHOWN} more, see the journal")
    if not plan.candidates:
        lines = [f"    {place.node}: {place.reason}" for place in plan.fixed[:_SHOWN]]
    return "\n".join(lines) or "    no other place could grow"
