"""Several processes make the run that one makes of the joined batch; a lost one ends it, and it can go on."""

import json
import signal
import time
from pathlib import Path

import pytest
import torch
from forked import ended, free_port, started_with
from safetensors.torch import load_file
from tolerances import SOLVED, rounding, size_of

import dagrow
from dagrow.cli.main import main
from dagrow.distributed import Processes

RUN = """
name: digits
graph:
  inputs: {x: {shape: [64]}}
  nodes: {h: {size: 2, activation: selu}, y: {size: 10}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: [y]
data: {dataset: digits, standardize: true}
training:
  {optimizer: {name: sgd, lr: 0.05}, scheduler: {name: exponential, gamma: 0.9}, ema_decay: 0.5, final_epochs: 1}
growth: {candidates: [widen, node], neurons: 3, shrinkage: 1, budget: {steps: 2}}
"""
"""With shrinkage, for a solve in float32 makes much of rounding along pixels that hardly ever change."""

CLOSE = 128
"""Resolutions of float32 that weights of short runs may be off, relative to the largest."""
"""About 1e-5 of the largest weight."""

DIGITS = Path(__file__).parents[2] / "specs" / "digits.yaml"


def started(count, *words):
    """The command in several processes, as torchrun would start them."""
    return started_with(count, "-m", "dagrow", *words)


def events(out):
    return [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()]


def decisions(out):
    """What was inserted and taken away, step by step, and every candidate with its fate."""
    told = [event for event in events(out) if event["event"] == "growth"]
    return [
        (
            step["graph"],
            [(c["kind"], c["place"], c["neurons"], bool(c["rejected"])) for c in step["plan"]["candidates"]],
        )
        for step in told
    ]


def assert_same_run(out, alone, times=CLOSE):
    assert decisions(out) == decisions(alone)
    assert (out / "graph.yaml").read_text() == (alone / "graph.yaml").read_text()
    found, wanted = (load_file(path / "weights.safetensors") for path in (out, alone))
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(
            found[key], value, rtol=0, atol=rounding(torch.float32, max(1.0, size_of(value)), times), msg=key
        )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run in one process."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "run.yaml").write_text(RUN)
    dagrow.grow(folder / "run.yaml", out=folder / "out")
    return folder / "out"


def test_two_processes_are_one_with_the_joined_batch(alone, tmp_path):
    """The same decisions, the same graph, weights equal to 1e-5 of their size; the first process alone speaks."""
    (first, second) = ended(started(2, "grow", alone.parent / "run.yaml", "--out", tmp_path / "out"))
    assert (first[2], second[2]) == (0, 0), first[1] + second[1]
    assert "step 1: " in first[0]
    assert second[0] == first[1] == second[1] == ""
    assert any(event.get("inserted") for event in events(tmp_path / "out"))
    assert_same_run(tmp_path / "out", alone)


def test_two_processes_agree_on_the_shipped_run(tmp_path):
    """Shrinkage, noise level and held-out choice as they come, non-linear neurons too: what differs is rounding."""
    short = ("--set", "training.final_epochs=1", "--set", "growth.budget.steps=5")
    words = ("grow", DIGITS, "--set", "training.dtype=float64", *short, "--out")
    results = ended([*started(1, *words, tmp_path / "alone"), *started(2, *words, tmp_path / "out")])
    assert [code for _, _, code in results] == [0, 0, 0], results
    assert load_file(tmp_path / "out" / "weights.safetensors")["h.from_x.weight"].dtype == torch.float64
    # Five growth steps, each solved and searched in what training has made of the one before.
    assert_same_run(tmp_path / "out", tmp_path / "alone", times=SOLVED)


def test_a_lost_process_ends_the_run_and_three_go_on_with_it(alone, tmp_path):
    out = tmp_path / "out"
    running = started(2, "grow", alone.parent / "run.yaml", "--out", out)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not (out / "checkpoints" / "000002").exists():
        time.sleep(0.02)
    running[1].send_signal(signal.SIGKILL)
    (_, errors, code), (_, _, killed) = ended(running)
    assert killed == -signal.SIGKILL
    assert code == 2
    assert errors.count("\n") == 1, errors
    assert errors.startswith("dagrow: process 0 of 2 ends: another one is lost or has not answered in time (")
    assert "--resume goes on from the last checkpoint, with any number of processes" in errors
    assert not any(event["event"] == "end" for event in events(out))
    results = ended(started(3, "grow", out, "--resume"))
    assert [code for _, _, code in results] == [0, 0, 0], results
    assert "continued from" in results[0][0]
    assert_same_run(out, alone)


def test_processes_at_different_runs_are_told_so(alone):
    """One of them was given another seed."""
    run = alone.parent / "run.yaml"
    pairs = started(2, "grow", run, "--out", alone.parent / "different", "--set", "seed=RANK")
    for _, errors, code in ended(pairs):
        assert code == 2
        assert errors == (
            "dagrow: process 1 found another run file than process 0: start all on equal machines, "
            "with the same files and versions\n"
        )
    assert not (alone.parent / "different").exists()


def test_processes_that_do_not_come_are_not_waited_for(alone, monkeypatch, capsys):
    there = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        main(["grow", str(alone.parent / "run.yaml"), "--out", str(alone.parent / "never"), "--patience", "1"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("dagrow: process 0 of 2 cannot reach the others (")
    assert not (alone.parent / "never").exists()


class Two(Processes):
    """Two of them, who need not be there."""

    count = 2


@pytest.mark.parametrize(
    "where", ["graph.nodes.h.norm=batch", "graph.nodes.h.norm=cap_batch", "growth.new_node.norm=[none, batch]"]
)
def test_norms_over_a_batch_are_refused(alone, tmp_path, where):
    """Before any process is waited for."""
    run = dagrow.load_run(alone.parent / "run.yaml", [where])
    with pytest.raises(
        dagrow.DagrowError, match=r"norm '(batch|cap_batch)' of .* looks at a whole batch, .* in one process"
    ):
        dagrow.grow(run, out=tmp_path / "out", processes=Two())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        (["training.anneal={}"], "training.anneal: "),
        (
            [
                "growth.continuous_growth={}",
                "graph.nodes.h.activation=relu",
                "growth.new_node.activation=relu",
                "training.penalty={}",
            ],
            "training.penalty, growth.continuous_growth: ",
        ),
    ],
)
def test_units_that_come_and_go_are_refused(alone, tmp_path, entries, named):
    run = dagrow.load_run(alone.parent / "run.yaml", ["training.scheduler=null", *entries])
    with pytest.raises(dagrow.DagrowError, match=rf"^{named}.* in one process, or leave it out"):
        dagrow.grow(run, out=tmp_path / "out", processes=Two())
    assert not (tmp_path / "out").exists()


def test_one_process_under_torchrun_is_one_process(alone, tmp_path, monkeypatch, capsys):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "nowhere", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    options = ["--out", str(tmp_path / "out"), "--set", "growth.budget.steps=0"]
    with pytest.raises(SystemExit) as end:
        main(["grow", str(alone.parent / "run.yaml"), *options])
    assert end.value.code == 0
    assert "test loss" in capsys.readouterr().out
