"""How a run inserts what was chosen: silently where enough training follows, unless it says otherwise."""

import pytest

import dagrow
from dagrow.growth.insertion_mode import way_to_insert
from dagrow.journal import history_table
from dagrow.planner import INSERT

GRAPH = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {"h": {"size": 2, "activation": "relu"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
MAPS = {
    "inputs": {"x": {"shape": [1, 8, 8]}},
    "nodes": {"c": {"size": 2, "activation": "relu", "pool": "global_average"}, "y": {"size": 3}},
    "edges": {"x -> c": "conv2d", "c -> y": "linear"},
    "outputs": ["y"],
}


def way(training=(), samples=1000, **growth):
    run = dagrow.RunSpec.model_validate({"graph": GRAPH, "training": dict(training), "growth": growth})
    return way_to_insert(run, samples, dagrow.build(run.graph))


@pytest.mark.parametrize("schedule", ["auto", "epochs", "plateau"])
@pytest.mark.parametrize(
    ("passes", "samples", "expected"),
    [
        (1, 1980, "amplitude"),
        (1, 1981, "zero_fan_out_unscaled"),
        (5, 400, "zero_fan_out_unscaled"),
        (0, 9999, "amplitude"),
    ],
)
def test_silent_where_a_hundred_gradient_steps_follow(schedule, passes, samples, expected):
    training = {"epochs_between_growth": passes, "batch_size": 20}
    assert way(training, samples, schedule=schedule) == expected
    assert way({**training, "closed_form_updates": True}, samples, schedule=schedule) == "amplitude"
    assert way(training, samples, schedule=schedule, insertions_per_step=2) == "amplitude"
    assert way(training, samples, schedule=schedule, prune_tolerance=0) == "amplitude"
    assert way({**training, "penalty": {"strength": 1e-3}}, samples, schedule=schedule) == "amplitude"


def test_not_for_maps():
    run = dagrow.RunSpec.model_validate({"graph": MAPS, "training": {"epochs_between_growth": 1}})
    assert way_to_insert(run, 10**6, dagrow.build(run.graph)) == "amplitude"


@pytest.mark.parametrize(("steps", "expected"), [(99, "amplitude"), (100, "zero_fan_out_unscaled")])
def test_steps_of_their_own(steps, expected):
    assert way({"steps_between_growth": steps, "epochs_between_growth": 0}, schedule="steps") == expected


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("tiny", "zero_fan_out_unscaled"),
        ("random", "zero_fan_out_unscaled"),
        ("firefly", "amplitude"),
        ("gradmax", "amplitude"),
    ],
)
def test_what_a_method_made_for_its_size_keeps_it(method, expected):
    training = {"batch_size": 1, "optimizer": {"name": "adam", "lr": 0.001}, "final_epochs": 0}
    growth = {"method": method, "neurons": 1, "significance": 0, "budget": {"steps": 1}, "insert": "auto"}

    spec = dagrow.RunSpec.model_validate(
        {"graph": GRAPH, "data": {"dataset": "iris"}, "training": training, "growth": growth}
    )
    (step,) = [event for event in dagrow.grow(spec, write=False).events if event["event"] == "growth"]
    assert step["insert"] == expected


@pytest.mark.parametrize(("insert", "loud"), [("amplitude", True), ("zero_fan_out_unscaled", False)])
def test_a_run_tells_how(insert, loud, tmp_path):
    growth = {"insert": insert, "budget": {"steps": 1}, "shrinkage": 0, "held_out": 0, "significance": 0}
    spec = dagrow.RunSpec.model_validate({"graph": GRAPH, "data": {"dataset": "iris"}, "growth": growth})
    result = dagrow.grow(spec, out=tmp_path / "run")
    (step,) = [event for event in result.events if event["event"] == "growth"]
    assert step["insert"] == insert
    gained = step["plan"]["loss"] - step["train"]["loss"]
    assert gained == pytest.approx(step["inserted"]["gain"] if loud else 0.0, abs=1e-5)
    assert (", zero fan-out" in history_table(result.events)) != loud


@pytest.mark.parametrize("asked", INSERT)
def test_what_is_asked_for_is_done(asked):
    assert way(samples=9999, insert=asked) == way({"epochs_between_growth": 0}, insert=asked) == asked
