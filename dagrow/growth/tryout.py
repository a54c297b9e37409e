"""Candidates tried out: what gains most at once need not be what gains most when it has been trained for a while."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dagrow.growth.counterfactual import Counterfactual
from dagrow.growth.insertion_mode import insert
from dagrow.planner import Candidate, promise, rounding
from dagrow.ties import best_first
from dagrow.training.state import RunContext, RunState
from dagrow.training.train_unit import steps_between_growth


def try_out(
    task: RunContext, state: RunState, ranked: Sequence[Candidate], number: int
) -> tuple[Candidate | None, list[dict[str, Any]]]:
    """Trains copies of the network, one with each of the best candidates, and one as it is; the run is not touched.

    All see the same batches. The gain of a candidate is the training loss of the network as it is, less that of the
    grown one, both after these steps, and ``growth.where`` says what it is divided by.

    Args:
        task: the run, with ``growth.tryout``.
        state: before the growth step.
        ranked: candidates that may be made, best first.
        number: of the growth step, from 1.

    Returns:
        The best; None where none has gained; the first where the network as it is cannot be trained on. And what the
        journal says of each that was tried.
    """
    growth = task.spec.growth
    assert growth.tryout is not None
    steps = growth.tryout.steps or steps_between_growth(task.spec, len(task.split.train), state.network)
    start = _loss(task, Counterfactual.of(state), steps, number)
    told: list[dict[str, Any]] = []
    gained: list[tuple[int, Candidate, float]] = []
    for rank, candidate in enumerate(entrants(ranked, growth.tryout.candidates)):
        own = Counterfactual.of(state)
        insert(task, own.network, candidate, own.optimizer)
        gain = start - _loss(task, own, steps, number)
        entry = {"kind": candidate.kind, "place": candidate.place, "steps": steps}
        told.append({**entry, "gain": gain if math.isfinite(gain) else None})
        if gain > 0:
            gained.append((rank, candidate, gain))
    if not math.isfinite(start):
        return ranked[0], told
    best = best_first(
        gained,
        lambda each: promise(growth.where, each[2], *each[1].cost),
        lambda each: each[0],
        lambda each: rounding(growth.where, start, *each[1].cost),
    )
    return (best[0][1] if best else None), told


def entrants(ranked: Sequence[Candidate], count: int) -> list[Candidate]:
    """The best of each kind, then the next best of each, at most so many."""
    seen: dict[str, int] = {}
    order = []
    for rank, candidate in enumerate(ranked):
        seen[candidate.kind] = seen.get(candidate.kind, 0) + 1
        order.append((seen[candidate.kind], rank))
    return [ranked[rank] for _, rank in sorted(order)[:count]]


def _loss(task: RunContext, own: Counterfactual, steps: int, number: int) -> float:
    """The training loss after some steps; infinite if it became no number."""
    if not own.train(task, steps, f"growth.tryout in step {number}"):
        return math.inf
    loss = task.score(own.network, task.split.train).loss
    return loss if math.isfinite(loss) else math.inf
