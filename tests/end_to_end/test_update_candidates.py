"""Runs in which moving existing weights competes with growth, and runs whose neurons bring updates along."""

import pytest
from command_tools import command, settings
from test_growth_runs import DIGITS, grow, steps

from dagrow.spec import RunSpec
from dagrow.training.progress import Progress
from dagrow.training.schedules import after_growth

BOTH = settings(
    growth__candidates="[update, widen]", growth__neurons=2, growth__budget__steps=6, growth__samples=400,
    growth__shrinkage=0.01, training__epochs_between_growth=0, training__final_epochs=0,
)  # fmt: skip


def test_updates_and_insertions_take_turns_as_they_gain(tmp_path):
    """Without training: each step takes what gains more, updates cost nothing, and the journal tells which it was."""
    events = grow(DIGITS, tmp_path / "run", *BOTH)
    made = [event["inserted"] for event in steps(events)]
    assert {entry["kind"] for entry in made} == {"update", "widen"}
    sizes = [event["parameters"] for event in [events[0], *steps(events)]]
    for entry, before, after, event in zip(made, sizes, sizes[1:], steps(events), strict=False):
        assert (after == before) is (entry["kind"] == "update")
        assert entry["gain"] > 0
        considered = {candidate["kind"] for candidate in event["plan"]["candidates"]}
        assert considered == {"update", "widen"}
        if entry["kind"] == "update":
            assert entry["parameters"] == 0
            assert event["insert"] == "amplitude"
    outcome = command("log", tmp_path / "run")
    assert outcome.code == 0
    assert "y update" in outcome.out or "h update" in outcome.out
    assert command("report", tmp_path / "run").code == 0


def test_updates_move_weights_where_neurons_enter_silently(tmp_path):
    """Nothing of an update can be left for training to find: it enters at its amplitude, whatever `insert` says."""
    only = settings(growth__candidates="[update]", growth__insert="zero_fan_out", growth__budget__steps=1)
    events = grow(DIGITS, tmp_path / "run", *BOTH, *only)
    (event,) = steps(events)
    assert events[0]["train_loss"] - event["train_loss"] > 0.01 * events[0]["train_loss"]


@pytest.mark.parametrize("ways", ["one_amplitude", "two_amplitudes"])
def test_neurons_bring_updates_along(tmp_path, ways):
    """More is gained than by neurons alone, and it enters at once, though training follows."""
    common = [
        *BOTH,
        *settings(growth__candidates="[widen]", growth__budget__steps=1, training__epochs_between_growth=1),
    ]
    alone = grow(DIGITS, tmp_path / "alone", *common, *settings(growth__insert="amplitude"))
    both = grow(DIGITS, tmp_path / "both", *common, *settings(growth__with_update=ways))
    (without,), (event,) = steps(alone), steps(both)
    assert event["insert"] == "amplitude"
    assert event["inserted"]["gain"] > without["inserted"]["gain"]


def test_an_update_that_is_left_at_0_is_refused(tmp_path):
    bad = settings(growth__with_update="true", growth__insert="zero_fan_out")
    outcome = command("grow", DIGITS, "--out", tmp_path / "run", *bad)
    assert outcome.code == 2
    assert "insert must be auto or amplitude" in outcome.err


def run(between: int) -> RunSpec:
    graph = {
        "inputs": {"x": {"shape": [4]}},
        "nodes": {"h": {"size": 2, "activation": "relu"}, "y": {"size": 3}},
        "edges": {"x -> h": "linear", "h -> y": "linear"},
        "outputs": ["y"],
    }
    training = {"epochs_between_growth": between, "final_epochs": 0}
    growth = {"candidates": ["update", "widen"], "patience": 2, "budget": {"steps": 9}, "schedule": "epochs"}
    return RunSpec(graph=graph, data={"dataset": "iris"}, training=training, growth=growth)


@pytest.mark.parametrize("between", [0, 1])
def test_patience_counts_steps_in_which_no_insertion_would_gain(between):
    """Updates alone end growth after `patience` steps, without training too, for each sees another network."""
    spec, done = run(between), Progress(started=True)
    done = after_growth(spec, done, gained=True, changed=True)
    assert (done.steps_without_gain, done.growth_finished) == (0, False)
    done = after_growth(spec, done, gained=False, changed=True)
    assert (done.steps_without_gain, done.growth_finished) == (1, False)
    assert after_growth(spec, done, gained=True, changed=True).steps_without_gain == 0
    assert after_growth(spec, done, gained=False, changed=True).growth_finished
    # Nothing at all, and no training: the next step would see the same.
    assert after_growth(spec, Progress(started=True), gained=False).growth_finished is (between == 0)
