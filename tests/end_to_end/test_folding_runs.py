"""Runs that grow by folding: each step is told, recorded and drawn; what cannot be folded is refused at once."""

import numpy as np
import pytest
from command_tools import command

from dagrow.journal import read_journal

RUN = """\
graph:
  inputs: {x: {shape: [2]}}
  nodes: {h: {size: 2, activation: relu}, y: {size: 2}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: y
data: {npz: sine.npz}
training: {optimizer: {name: adam, lr: 0.02}, batch_size: 200, epochs_between_growth: 15, final_epochs: 1}
growth: {method: folding, budget: {steps: 2}}
"""


@pytest.fixture
def run_file(tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, (200, 2)).astype(np.float32)
    y = (x[:, 1] > 0.7 * np.sin(np.pi * x[:, 0])).astype(np.int64)
    np.savez(tmp_path / "sine.npz", x_train=x, y_train=y)
    file = tmp_path / "run.yaml"
    file.write_text(RUN)
    return file


def test_each_step_says_why_in_a_line_in_the_journal_and_in_a_picture(run_file, tmp_path):
    out = tmp_path / "out"
    outcome = command("grow", run_file, "--out", out)
    assert outcome.code == 0, outcome
    events = [event for event in read_journal(out / "journal.jsonl") if event["event"] == "growth"]
    assert [event["inserted"]["neurons"] for event in events] == [1, 1]
    for event in events:
        why = event["inserted"]["why"]
        assert f"folds for sample {why['sample']} (" in outcome.out
        assert why["predicted"] != why["target"]
        crease, boundary, point = why["crease"], why["boundary"], np.array(why["fold_point"])
        for line in (crease, boundary):
            assert abs(np.dot(line["weight"], point) + line["bias"]) < 1e-6
    assert sorted(path.name for path in (out / "explained").iterdir()) == ["step-1.png", "step-2.png"]
    assert command("log", out).code == 0


def test_a_chain_deepens_when_its_layers_are_full(run_file, tmp_path):
    """2-4-2 becomes 2-5-2; then a layer that keeps the function, which is widened in its turn."""
    out = tmp_path / "out"
    deepening = (
        "growth.candidates=[widen, layer]", "growth.new_node.activation=relu", "growth.max_width=5",
        "growth.method=folding_free", "growth.budget.steps=5", "training.epochs_between_growth=2",
        "graph.nodes.h.size=4",
    )  # fmt: skip
    outcome = command("grow", run_file, "--out", out, *(word for each in deepening for word in ("--set", each)))
    assert outcome.code == 0, outcome
    events = [event for event in read_journal(out / "journal.jsonl") if event["event"] == "growth"]
    inserted = [event["inserted"] for event in events]
    assert [entry["kind"] for entry in inserted[:3]] == ["widen", "layer", "widen"]
    assert inserted[2]["place"] != "h"
    assert inserted[1]["gain"] == pytest.approx(0.0, abs=1e-5)
    rejected = [entry["rejected"] for entry in events[1]["plan"]["candidates"] if entry["kind"] == "widen"]
    assert rejected == ["full: it has 5 features, max_width is 5"]


def test_a_new_layer_that_is_no_relu_is_refused_at_its_line(run_file, tmp_path):
    more = ("--set", "growth.candidates=[widen, layer]", "--set", "growth.new_node.activation=leaky_relu")
    outcome = command("grow", run_file, "--out", tmp_path / "out", *more)
    assert outcome.code == 2
    assert "method 'folding' deepens a chain of relu layers: activation 'relu', not 'leaky_relu'" in outcome.err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("graph.nodes.h.activation=selu", "dagrow: method 'folding' needs a chain"),
        ("growth.candidates=[widen, edge]", "candidates must be [widen] or [widen, layer], not [widen, edge]"),
        ("training.loss=mse", "needs a classifier"),
    ],
)
def test_what_cannot_be_folded_is_refused_before_anything_is_trained(run_file, tmp_path, setting, message):
    more = ("--set", "graph.nodes.y.size=1") if "mse" in setting else ()
    outcome = command("grow", run_file, "--out", tmp_path / "out", "--set", setting, *more)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
    # A run that does not grow asks nothing of the graph.
    no_growth = ("--set", "growth.budget.steps=0", "--set", "training.final_epochs=0")
    assert command("grow", run_file, "--out", tmp_path / "out", "--set", setting, *more, *no_growth).code == 0


def test_a_run_goes_on_where_no_picture_can_be_drawn(run_file, tmp_path, monkeypatch):
    from dagrow import DagrowError
    from dagrow.runs import recorder as record

    def refuse(*args, **kwargs):
        raise DagrowError("a picture needs 'matplotlib'")

    monkeypatch.setattr(record, "write_scene", refuse)
    outcome = command("grow", run_file, "--out", tmp_path / "out", "--set", "growth.budget.steps=1")
    assert outcome.code == 0
    assert "not drawn: a picture needs 'matplotlib'" in outcome.out
    assert not (tmp_path / "out" / "explained").exists()
