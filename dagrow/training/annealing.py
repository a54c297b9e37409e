"""Smaller steps, and passes taken back that did not help: the protocol of Philipp & Carbonell (2017), 7.4."""

from __future__ import annotations

import copy

from dagrow.training.snapshot import network_parts, restored_network
from dagrow.training.state import RunContext, RunState
from dagrow.training.validation import error_of
from dagrow.training.weight_ema import WeightEMA


def after_pass(task: RunContext, state: RunState, removed: int) -> str | None:
    """Scores the network after a pass, and takes passes back where the phase is at its end.

    Args:
        task: the run.
        state: changed in place where it goes back.
        removed: units that went in this pass.

    Returns:
        What a person is told, if something happened.
    """
    options, rewind = task.spec.training.anneal, state.rewind
    if options is None or rewind is None or task.held_out is None:
        return None
    error = error_of(task.score(state.network, task.held_out))
    if rewind.note(error, removed):
        parts = {**network_parts(state.network, state.optimizer), "average": state.average.state_dict()}
        rewind.kept = copy.deepcopy(parts)
        rewind.kept_error, rewind.kept_scale = error, rewind.scale
        return None
    patience = options.late_patience if rewind.phase.value == "anneal" else options.patience
    if rewind.epochs_since_best < patience or rewind.kept is None:
        return None
    going_on = rewind.next_phase(options.factor)
    device = state.device
    kept = copy.deepcopy(rewind.kept)
    state.network, state.optimizer = restored_network(kept, task.spec.training, device)
    state.average = WeightEMA(state.network, task.spec.training.ema_decay)
    state.average.load_state_dict(kept["average"])
    for group in state.optimizer.param_groups:
        group["lr"] = group["lr"] * rewind.scale / rewind.kept_scale
    back = f"back to the held-out error {rewind.kept_error:.4g}"
    if not going_on:
        state.progress = state.progress.ended()
        return f"{back}; smaller steps change nothing any more"
    return f"{back}, phase '{rewind.phase.value}', learning rate {state.optimizer.param_groups[0]['lr']:.3g}"
