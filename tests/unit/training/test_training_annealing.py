"""The phases of a run that rewinds, by hand; and one run through them, stopped and continued."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

import dagrow
from dagrow.errors import DagrowError
from dagrow.journal.events import LINE
from dagrow.spec import RunSpec
from dagrow.training.annealing_phases import AnnealState, Phase
from dagrow.training.snapshot import network_parts, restored_network
from dagrow.training.state import RunState


def run(**training: Any) -> RunSpec:
    edge = {"op": "linear", "bias": False}
    return RunSpec.model_validate(
        {
            "graph": {
                "inputs": {"x": {"shape": [4]}},
                "nodes": {"h": {"size": 3, "norm": "cap_batch", "activation": "relu"}, "y": {"size": 3}},
                "edges": {"x -> h": edge, "h -> y": edge},
                "outputs": ["y"],
            },
            "data": {"dataset": "iris", "standardize": True},
            "training": {
                "optimizer": {"name": "adarad_m", "lr": 0.3, "radial_lr": 2.0},
                "penalty": {"strength": 0.01},
                "batch_size": 30,
                "final_epochs": 60,
                "anneal": {"patience": 3, "late_patience": 2, "held_out": 0.25},
                **training,
            },
            "growth": {"continuous_growth": {"rate": 1}, "budget": {"steps": 0}},
        }
    )


def test_a_run_begins_in_the_first_phase_that_has_something_to_do():
    assert AnnealState.at_start(run()).phase is Phase.GROW
    alone = run().model_copy(update={"growth": run().growth.model_copy(update={"continuous_growth": None})})
    assert AnnealState.at_start(alone).phase is Phase.SETTLE
    free = alone.model_copy(update={"training": alone.training.model_copy(update={"penalty": None})})
    assert AnnealState.at_start(free).phase is Phase.FREE


def test_phases_and_their_steps():
    state = AnnealState(Phase.GROW)
    assert state.adding
    assert state.note(0.5, 0)
    assert not state.note(0.6, 4)
    assert (state.best, state.epochs_since_best) == (0.5, 1)
    state.kept_error = 0.5
    assert state.next_phase(3.0)
    assert (state.phase, state.scale, state.epochs_since_best, state.shrinking, state.adding) == (
        Phase.SETTLE,
        1.0,
        0,
        True,
        False,
    )
    assert state.note(0.7, 1)  # a unit went: the phase goes on
    state.kept_error = 0.7
    assert state.next_phase(3.0)
    assert (state.phase, state.best, state.shrinking) == (Phase.FREE, 0.7, False)
    assert not state.note(0.7, 1)
    assert state.next_phase(3.0)
    assert (state.phase, state.scale) == (Phase.ANNEAL, 1 / 3)
    assert not state.note(0.8, 0)
    assert state.next_phase(3.0)
    assert state.scale == pytest.approx(1 / 9)
    assert not state.note(0.7, 0)
    assert not state.next_phase(3.0)  # nothing has changed at all


def test_rounds_end_where_steps_are_too_small_to_matter():
    """Though the error goes on changing, as it does by the running averages of a norm."""
    state = AnnealState(Phase.ANNEAL, best=0.5, kept_error=0.5, moved=True)
    rounds = 0
    while state.next_phase(4.0):
        rounds += 1
        state.note(0.6, 0)
        assert rounds < 20
    assert rounds == 10


def test_a_run_goes_through_all_phases_and_ends():
    result = dagrow.grow(run(), write=False)
    for event in result.events:
        LINE.validate_python(json.loads(json.dumps(event)))
    told = [event["what"] for event in result.events if event["event"] == "rewind"]
    assert [phase.value for phase in Phase if any(f"phase '{phase.value}'" in text for text in told)] == [
        "settle",
        "free",
        "anneal",
    ]
    epochs = [event for event in result.events if event["event"] == "epoch"]
    settled = next(event["epoch"] for event in result.events if event["event"] == "rewind")
    assert all(event["added"] == ({"h": 1} if event["epoch"] <= settled else {}) for event in epochs)
    assert len(epochs) < 60 or not told[-1].endswith("any more")
    assert result.train.accuracy is not None
    assert result.train.accuracy > 0.8


def test_what_is_kept_is_made_anew():
    spec = run()
    state = RunState.fresh(spec, torch.device("cpu"))
    x = torch.randn(8, 4)
    state.network(x).square().mean().backward()
    state.optimizer.step()
    network, optimizer = restored_network(
        network_parts(state.network, state.optimizer), spec.training, torch.device("cpu")
    )
    assert torch.equal(network.eval()(x), state.network.eval()(x))
    for p, q in zip(state.network.parameters(), network.parameters(), strict=True):
        assert all(torch.equal(optimizer.state[q][key], value) for key, value in state.optimizer.state[p].items())
    assert state.rewind is not None
    assert math.isinf(state.rewind.best)


def test_a_share_that_leaves_nothing_is_refused():
    with pytest.raises(DagrowError, match="held_out keeps 0 of 120 training samples back"):
        dagrow.grow(run(anneal={"held_out": 0.001}), write=False)


def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path):
    """Units, momentum and the state to come back to are in the checkpoint."""
    spec = run(checkpoint={"seconds": 0.0}, final_epochs=14)
    whole = dagrow.grow(spec, out=tmp_path / "whole")

    class Stop:
        def __init__(self) -> None:
            self.left = 8

        def say(self, text: str) -> None: ...
        def stage(self, text: str, total: int) -> None: ...
        def advance(self) -> None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dagrow.grow(spec, out=tmp_path / "cut", reporter=Stop())
    found = dagrow.grow(spec, out=tmp_path / "cut", resume=True)
    assert found.model.spec == whole.model.spec
    for key, value in whole.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[key], value), key
