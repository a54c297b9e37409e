"""What an insertion was worth in the end: the network some gradient steps later, beside a twin that did not grow."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dagrow.growth.counterfactual import Counterfactual
from dagrow.training.epochs import Score
from dagrow.training.state import RunContext, RunState
from dagrow.training.train_unit import steps_between_growth


def calibrate(task: RunContext, before: Counterfactual, state: RunState, number: int) -> dict[str, Any]:
    """Trains a copy of the grown network and the twin on the same batches; the run itself goes on as if nothing was.

    Both take the gradient steps that the run takes between growth steps, at least those of one pass.

    Args:
        task: the run.
        before: the network as it was before the growth step.
        state: after it.
        number: of the growth step, from 1.

    Returns:
        What the journal says of it.
    """
    steps = steps_between_growth(task.spec, len(task.split.train), state.network)
    grown, twin = (_later(task, own, steps, number) for own in (Counterfactual.of(state), before))
    entries: dict[str, Any] = {"step": number, "steps": steps, "gain": None, "test_gain": None}
    if grown is not None and twin is not None:
        entries["gain"], entries["test_gain"] = (a.loss - b.loss for a, b in zip(twin, grown, strict=True))
    for name, scores in (("grown", grown), ("twin", twin)):
        entries[name] = None if scores is None else {"train": asdict(scores[0]), "test": asdict(scores[1])}
    return entries


def _later(task: RunContext, own: Counterfactual, steps: int, number: int) -> tuple[Score, Score] | None:
    """Scores on training and test samples after so many steps; None if the loss becomes no number."""
    if not own.train(task, steps, f"calibration {number}"):
        return None
    return task.score(own.network, task.split.train), task.score(own.network, task.split.test)
