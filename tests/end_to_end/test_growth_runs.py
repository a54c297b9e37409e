"""Runs with each setting, through the command: what holds for all of them."""

import itertools
import math
from pathlib import Path

import pytest
from command_tools import ROOT, command, settings

import dagrow
from dagrow.journal import read_journal

DIGITS = ROOT / "specs" / "digits.yaml"
TINY = settings(training__epochs_between_growth=1, training__final_epochs=1, growth__budget__steps=1)


def grow(file: Path, out: Path, *more: str) -> list[dict]:
    """The journal of a run."""
    outcome = command("grow", file, "--out", out, *more)
    assert outcome.code == 0, outcome
    return read_journal(out / "journal.jsonl")


def steps(events: list[dict]) -> list[dict]:
    """The growth steps that inserted something."""
    return [event for event in events if event["event"] == "growth" and event["inserted"]]


@pytest.mark.share(0.28)
@pytest.mark.parametrize("where", ["gain", "round_robin", "gain_per_parameter"])
def test_pure_growth_lowers_the_training_loss_in_every_step(tmp_path, where):
    pure = settings(
        training__epochs_between_growth=0, training__final_epochs=0, training__closed_form_updates="true",
        growth__budget__steps=4, growth__where=where, growth__neurons=3,
    )  # fmt: skip
    two = settings(
        graph__nodes__k="{size: 2, activation: selu}",
        graph__edges="{x -> h: linear, h -> k: linear, k -> y: linear}",
    )
    events = grow(DIGITS, tmp_path / "run", *pure, *two)
    losses = [event["train_loss"] for event in [events[0], *steps(events)]]
    assert len(losses) == 5
    assert all(after < before for before, after in itertools.pairwise(losses)), losses
    assert not any(event["event"] == "epoch" for event in events)
    assert all(
        update["kind"] == "update" and update["gain"] > 0 for event in steps(events) for update in event["updates"]
    )
    assert any(event["updates"] for event in steps(events))


def test_the_promised_gain_is_the_one_obtained(tmp_path):
    """Without training or updates, on all samples, the loss falls by just the gain."""
    pure = settings(training__epochs_between_growth=0, training__final_epochs=0, growth__budget__steps=3)
    events = grow(DIGITS, tmp_path / "run", *pure)
    losses = [event["train_loss"] for event in [events[0], *steps(events)]]
    for event, before, after in zip(steps(events), losses, losses[1:], strict=False):
        assert event["plan"]["samples"] == 1438
        assert before - after == pytest.approx(event["inserted"]["gain"], rel=1e-3)


@pytest.mark.share(0.35)
@pytest.mark.parametrize("parameters", [160, 400, 460, 1000])
def test_the_budget_is_never_exceeded(tmp_path, parameters):
    quick = settings(training__epochs_between_growth=1, training__final_epochs=1, growth__budget__steps=8)
    greedy = settings(growth__budget__parameters=parameters, growth__significance=0, growth__patience=8)
    events = grow(DIGITS, tmp_path / "run", *quick, *greedy)
    sizes = [event["parameters"] for event in events if "parameters" in event]
    assert max(sizes) <= parameters
    # A neuron costs 64 + 1 + 10 parameters: what is left takes none.
    assert sizes[-1] == 160 + 75 * ((parameters - 160) // 75)


def test_the_budget_of_multiply_adds(tmp_path):
    events = grow(DIGITS, tmp_path / "run", *TINY, *settings(growth__budget__macs=148 + 74 * 2))
    assert events[-1]["multiply_adds"] == 148 + 74 * 2


def test_silent_insertion_does_not_jump(tmp_path):
    still = settings(training__epochs_between_growth=0, training__final_epochs=0, growth__budget__steps=1)
    silent = grow(DIGITS, tmp_path / "silent", *still, *settings(growth__insert="zero_fan_out_unscaled"))
    loud = grow(DIGITS, tmp_path / "loud", *still)
    assert silent[0]["train_loss"] == loud[0]["train_loss"]
    assert steps(silent)[0]["inserted"]["gain"] == steps(loud)[0]["inserted"]["gain"] > 0.1
    assert silent[-1]["train_loss"] == pytest.approx(silent[0]["train_loss"], rel=1e-6)
    assert loud[-1]["train_loss"] < loud[0]["train_loss"] - 0.1
    training = settings(training__final_epochs=10, training__batch_size=64, training__optimizer__lr=0.003)
    trained = grow(DIGITS, tmp_path / "trained", *TINY, *training, *settings(growth__insert="zero_fan_out_unscaled"))
    assert trained[-1]["test"]["accuracy"] > 0.85


@pytest.mark.parametrize(
    "optimizer",
    [
        "{name: sgd, lr: 0.1}",
        "{name: sgd, lr: 0.05, momentum: 0.9, nesterov: true}",
        "{name: adam, lr: 0.01, betas: [0.8, 0.99], amsgrad: true}",
        "{name: adamw, lr: 0.01, weight_decay: 0.1}",
    ],
    ids=["sgd", "momentum", "adam", "adamw"],
)
def test_every_optimizer(tmp_path, optimizer):
    events = grow(
        DIGITS,
        tmp_path / "run",
        *TINY,
        *settings(training__optimizer=optimizer, training__final_epochs=5, graph__nodes__h__activation="selu"),
    )
    assert events[-1]["test"]["accuracy"] > 0.8
    assert len(steps(events)) == 1


@pytest.mark.parametrize("method", ["tiny", "firefly", "random"])
def test_every_method(tmp_path, method):
    events = grow(DIGITS, tmp_path / "run", *TINY, *settings(growth__method=method), "--seed", "1")
    (step,) = steps(events)
    assert step["inserted"]["gain"] > 0
    assert events[-1]["train_loss"] < events[0]["train_loss"]


@pytest.mark.parametrize("method", ["gradmax", "north_weights", "north_activations", "net2net"])
def test_methods_whose_neurons_only_learn_afterwards(tmp_path, method):
    events = grow(DIGITS, tmp_path / "run", *TINY, *settings(growth__method=method), "--seed", "1")
    (step,) = steps(events)
    assert step["inserted"]["neurons"] > 0
    assert events[-1]["train_loss"] < events[0]["train_loss"]


TABLE = """\
graph:
  inputs: {x: {shape: [2]}}
  nodes: {h: {size: 1, activation: tanh}, y: {size: 1}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: y
data: {csv: table.csv, target: z, standardize: true}
training: {loss: mse, optimizer: {name: adam, lr: 0.01}, epochs_between_growth: 5, final_epochs: 40, batch_size: 16}
growth: {budget: {steps: 3}}
"""


def test_mean_squared_error_on_a_table(tmp_path):
    rows = [(a / 4 - 3, b / 4 - 3) for a in range(24) for b in range(24)]
    lines = "".join(f"{u},{u + 2 * math.tanh(2 * u) - 3 * math.tanh(2 * v)},{v}\n" for u, v in rows)
    (tmp_path / "table.csv").write_text(f"u,z,v\n{lines}")
    (tmp_path / "run.yaml").write_text(TABLE)
    events = grow(tmp_path / "run.yaml", tmp_path / "run")
    assert steps(events)
    assert events[-1]["test"]["loss"] < 0.5 * events[0]["test"]["loss"]
    assert events[-1]["test"]["accuracy"] is None
    assert command("log", tmp_path / "run").out.splitlines()[2].split()[-1] == "-"


CANCER = """\
graph:
  inputs: {x: {shape: [30]}}
  nodes: {h: {size: 1, activation: gelu}, y: {size: 1}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: y
data: {dataset: breast_cancer, standardize: true}
training: {loss: binary_cross_entropy, optimizer: {name: adamw, lr: 0.01}, batch_size: 32, final_epochs: 5}
growth: {budget: {steps: 2}}
"""


def test_binary_cross_entropy(tmp_path):
    (tmp_path / "run.yaml").write_text(CANCER)
    events = grow(tmp_path / "run.yaml", tmp_path / "run")
    assert events[-1]["test"]["accuracy"] > 0.9
    assert steps(events)


TWO_INPUTS = """\
graph:
  inputs: {top: {shape: [32]}, bottom: {shape: [32]}}
  nodes:
    a: {size: 1, activation: selu}
    b: {size: 1, activation: relu}
    both: {merge: concat}
    y: {size: 10}
  edges:
    top -> a: linear
    bottom -> b: linear
    a -> both: identity
    b -> both: identity
    both -> y: linear
    top -> y: linear
  outputs: y
training: {optimizer: {lr: 0.01}, final_epochs: 5}
growth: {budget: {steps: 4}}
"""
CONV = """\
graph:
  inputs: {x: {shape: [1, 8, 8]}}
  nodes:
    c: {size: 1, norm: batch, activation: relu, pool: {kind: max, kernel: 2}}
    d: {size: 1, activation: selu, flatten: true}
    y: {size: 10}
  edges:
    x -> c: {op: conv2d, kernel: 3, padding: same, bias: false}
    c -> d: {op: conv2d, kernel: 3}
    d -> y: linear
  outputs: y
training: {optimizer: {lr: 0.01}, final_epochs: 3}
growth: {budget: {steps: 3}, neurons: 3}
"""


@pytest.mark.share(0.35)
@pytest.mark.parametrize(
    ("text", "places", "accuracy"),
    [(TWO_INPUTS, {"a", "b"}, 0.8), (CONV, {"c", "d"}, 0.6)],
    ids=["two_inputs", "conv"],
)
def test_other_graphs_grow_and_leave_plain_networks(tmp_path, text, places, accuracy):
    (tmp_path / "run.yaml").write_text(text)
    events = grow(tmp_path / "run.yaml", tmp_path / "run")
    assert {candidate["place"] for event in steps(events) for candidate in event["plan"]["candidates"]} == places
    assert events[-1]["test"]["accuracy"] > accuracy
    grown = dagrow.load_graph(tmp_path / "run" / "graph.yaml")
    assert sum(grown.nodes[place].size for place in places) > len(places)
    outcome = command("export", tmp_path / "run", "--to", "python", "--out", tmp_path / "plain")
    assert "loaded back, outputs differ by" in outcome.out
    assert "import dagrow" not in (tmp_path / "plain" / "model.py").read_text()


def test_a_batch_of_one_sample_trains_on_all_of_them(tmp_path):
    alone = settings(training__batch_size=1, growth__budget__steps=0, training__final_epochs=1)
    events = grow(DIGITS, tmp_path / "run", *alone)
    assert events[-1]["test"]["accuracy"] > 0.3 > events[0]["test"]["accuracy"]


def test_a_graph_without_a_place_to_grow_just_trains(tmp_path):
    bare = settings(graph__nodes="{y: {size: 10}}", graph__edges="{x -> y: linear}")
    events = grow(DIGITS, tmp_path / "run", *TINY, *bare)
    assert [event["reason"] for event in events if event["event"] == "growth"] == ["nothing gains"]
    assert events[-1]["train_loss"] < events[0]["train_loss"]
