"""What an insertion was worth later is found beside the run, which goes on as if nothing had been asked."""

import json

import pytest
import torch

import dagrow
from dagrow.journal import history_table, journal_schema

RUN = """
graph:
  inputs: {x: {shape: [4]}}
  nodes: {h: {size: 1, activation: selu, dropout: 0.1}, y: {size: 3}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: [y]
data: {dataset: iris, standardize: true}
training: {epochs_between_growth: 2, final_epochs: 1, batch_size: 50, optimizer: {name: adam, lr: 0.01}}
growth: {neurons: 1, shrinkage: 0, held_out: 0, significance: 0, budget: {steps: 3}}
"""


def grown(folder, *settings):
    (folder / "run.yaml").write_text(RUN)
    return dagrow.grow(dagrow.load_run(folder / "run.yaml", settings), write=False)


def without_seconds(events):
    return [{key: value for key, value in event.items() if key != "seconds"} for event in events]


def test_the_run_is_not_changed(tmp_path):
    plain, told = grown(tmp_path), grown(tmp_path, "growth.measure_later_gain=true")
    others = [event for event in told.events if event["event"] != "calibration"]
    made = [event for event in told.events if event["event"] == "growth" and event["inserted"]]
    assert len(told.events) == len(others) + len(made) > len(others)
    assert without_seconds(others) == without_seconds(plain.events)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(told.model.state_dict()[name], value), name


def test_without_steps_it_is_the_gain_at_insertion(tmp_path):
    """Steps of no length: what the insertion gained on the training samples is still there."""
    rate = ("training.optimizer={name: sgd, lr: 1e-12}", "growth.samples=1000", "training.batch_size=1000")
    events = grown(tmp_path, "growth.measure_later_gain=true", "graph.nodes.h.dropout=0", *rate).events
    made = {event["step"]: event for event in events if event["event"] == "growth"}
    found = [event for event in events if event["event"] == "calibration"]
    assert [event["step"] for event in found] == [1, 2, 3]
    for event in found:
        assert event["steps"] == 2
        insertion = made[event["step"]]
        assert event["gain"] == pytest.approx(insertion["inserted"]["gain"], rel=1e-4, abs=1e-6)
        assert event["test_gain"] == pytest.approx(insertion["before"]["loss"] - insertion["test"]["loss"], abs=1e-6)
        assert event["grown"]["test"]["loss"] == pytest.approx(insertion["test"]["loss"], abs=1e-6)


def test_both_train_on(tmp_path):
    found = [e for e in grown(tmp_path, "growth.measure_later_gain=true").events if e["event"] == "calibration"]
    assert found
    for event in found:
        assert event["steps"] == 6  # two passes over 120 samples, 50 at a time
        assert event["gain"] == event["twin"]["train"]["loss"] - event["grown"]["train"]["loss"]
        assert event["twin"] != event["grown"]


def test_a_copy_that_explodes_is_told(tmp_path):
    events = grown(
        tmp_path, "growth.measure_later_gain=true", "growth.budget.steps=1", "training.final_epochs=0"
    ).events
    (kept,) = [event for event in events if event["event"] == "calibration"]
    assert kept["gain"] is not None
    rate = (
        "training.optimizer={name: sgd, lr: 1e6}",
        "training.epochs_between_growth=0",
        "training.final_epochs=0",
        "training.batch_size=2",
    )
    events = grown(tmp_path, "growth.measure_later_gain=true", "growth.budget.steps=1", *rate).events
    (lost,) = [event for event in events if event["event"] == "calibration"]
    assert lost["gain"] is None
    assert lost["grown"] is None or lost["twin"] is None


def test_the_journal_says_how_gains_stand_to_later_ones():
    gains, later = (0.4, 0.1, 0.2, 0.3), (0.8, 0.2, 0.4, 0.6)
    events = []
    for step, (gain, then) in enumerate(zip(gains, later, strict=True), start=1):
        made = {"kind": "widen", "place": "h", "neurons": 1, "gain": gain, "held_out_gain": None}
        made["first_order_gain"] = -gain
        events.append({"event": "growth", "step": step, "inserted": made})
        events.append({"event": "calibration", "step": step, "steps": 6, "gain": then, "test_gain": then / 2})
    text = history_table(events)
    assert "step 2: 6 gradient steps later its gain is 0.2, on test samples 0.1" in text
    assert "\ngain and gain later: rank correlation 1.00, slope 2\n" in text
    assert "\nfirst-order gain and gain later: rank correlation -1.00, slope -2\n" in text
    assert "held-out gain and" not in text


def test_its_line_is_in_the_schema():
    assert "CalibrationEvent" in json.dumps(journal_schema())
