"""The rehearsal of the final training: what it decides, and that it leaves the run alone."""

from dataclasses import replace

import pytest
import torch

import dagrow
from dagrow.data import load_data
from dagrow.graph import Dag
from dagrow.growth import rehearsal
from dagrow.growth.rehearsal import LONGER, WITHIN_REACH, begin_finish
from dagrow.objectives import LOSSES
from dagrow.training.sample_sizes import settled
from dagrow.training.state import RunContext, RunState
from dagrow.training.validation import split_held_out

GRAPH = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {"h": {"size": 2, "activation": "selu"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}


@pytest.fixture
def begun():
    """A run on iris whose best network so far is the one that it began with."""
    sections = {"graph": GRAPH, "data": {"dataset": "iris"}, "training": {"final_epochs": 2}}
    spec = settled(dagrow.RunSpec.model_validate({**sections, "growth": {"schedule": "adaptive"}}), 120)
    split, held_out = split_held_out(spec, load_data(spec.data, Dag.of(spec.graph), LOSSES["cross_entropy"], 0))
    task, state = RunContext.of(spec, split, held_out), RunState.fresh(spec, torch.device("cpu"))
    assert state.best is not None
    state.best.note(state.network, task.score(state.network, held_out), 0, 0)
    return task, state


def ends(monkeypatch, *losses):
    """Rehearsals end with these losses, in training and on the samples kept back; asked for with these shares."""
    ended, asked = iter(losses), []

    def rehearse(task, state, best, share):
        asked.append(share)
        return rehearsal._Ended(*next(ended), 100)

    monkeypatch.setattr(rehearsal, "_rehearse", rehearse)
    return asked


@pytest.mark.parametrize(
    ("train", "held_out", "share"),
    [(1.0, 0.99, 0.0), (0.85, 1.0, 0.5), (0.5, 1.0, 1.0), (2.0, 1.5, 1.0), (0.1, 0.9, 0.0)],
    ids=["no gap", "half of one", "over-fits", "ends worse than it began", "has gained much"],
)
def test_the_gap_after_a_rehearsal_decides_on_remedies_and_length(train, held_out, share, begun, monkeypatch):
    task, state = begun
    state.best.loss = 1.1
    monkeypatch.setattr(rehearsal, "over_fit", lambda a, b: 0.0 if a != train else max(0.0, min(1, (1 - a / b) / 0.3)))
    asked = ends(monkeypatch, (train, held_out))
    _, told = begin_finish(task, state)
    assert asked == [0.0]
    assert state.progress.over_fit == pytest.approx(share)
    shortest = 600 // 8
    assert state.progress.final_units == pytest.approx(shortest * (1 + (LONGER - 1) * (1 - share)), abs=1)
    assert told == {"rehearsals": [{"step": 0, "loss": held_out, "over_fit": pytest.approx(share)}], "work": 100}


def test_what_over_fits_already_needs_no_rehearsal(begun, monkeypatch):
    task, state = begun
    state.best.loss = 100.0
    asked = ends(monkeypatch)
    begin_finish(task, state)
    assert (asked, state.progress.over_fit) == ([], 1.0)


@pytest.mark.parametrize(
    ("grown", "reach", "width"),
    [(1.0, 1.5, 5), (2.0, 1.5, 2), (2.0, WITHIN_REACH, 5)],
    ids=["grown is better", "grown is worse", "out of reach"],
)
def test_growth_that_was_not_worth_it_is_left(grown, reach, width, begun, monkeypatch):
    task, state = begun
    start = replace(state.best)
    wider = {**GRAPH, "nodes": {**GRAPH["nodes"], "h": {"size": 5, "activation": "selu"}}}
    larger = RunState.fresh(
        task.spec.model_copy(update={"graph": dagrow.GraphSpec.model_validate(wider)}), state.device
    )
    state.best.loss = 1e6
    state.best.note(larger.network, replace(task.score(larger.network, task.held_out), loss=100.0, accuracy=1.0), 3, 1)
    state.best.loss = 10.0
    state.ungrown = replace(start, loss=10.0 * reach)
    ends(monkeypatch, (0.0, grown), (0.0, 1.5))
    begin_finish(task, state)
    assert state.network.dag.size("h") == width
    assert state.best.graph["nodes"]["h"]["size"] == width


def test_a_rehearsal_leaves_the_run_alone(begun):
    task, state = begun
    before, progress = [value.clone() for value in state.network.state_dict().values()], state.progress
    order, random = state.order.get_state(), torch.get_rng_state()
    first, second = (rehearsal._rehearse(task, state, state.best, 0.0) for _ in range(2))
    assert first == second
    assert first.work > 0
    assert first.train < task.score(state.network, task.split.train).loss
    assert all(torch.equal(a, b) for a, b in zip(before, state.network.state_dict().values(), strict=True))
    assert torch.equal(order, state.order.get_state())
    assert torch.equal(random, torch.get_rng_state())
    assert state.progress is progress
