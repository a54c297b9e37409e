"""Runs that grow the graph itself: edges, nodes and layers come, and go again."""

from pathlib import Path

import pytest
import torch
from command_tools import ROOT, command, settings
from safetensors.torch import load_file

import dagrow
from dagrow.journal import read_journal

DIGITS = ROOT / "specs" / "digits.yaml"
SHORT = settings(
    training__epochs_between_growth=1, training__final_epochs=1, growth__budget__steps=3, growth__neurons=3,
    growth__max_solved=4, growth__max_searched=2, growth__samples=200,
)  # fmt: skip


def grown(out: Path, *more: str) -> list[dict]:
    outcome = command("grow", DIGITS, "--out", out, *SHORT, *more)
    assert outcome.code == 0, outcome
    return [event for event in read_journal(out / "journal.jsonl") if event["event"] == "growth" and event["inserted"]]


def removals(out: Path) -> list[dict | None]:
    """What was taken away after each insertion; None if nothing could be."""
    return [event["removed"] for event in read_journal(out / "journal.jsonl") if event["event"] == "removal"]


def check_directory(out: Path) -> None:
    """The graph and the weights on disk fit each other, and compute what the journal says."""
    network = dagrow.build(dagrow.load_graph(out / "graph.yaml"))
    network.load_state_dict(load_file(out / "weights.safetensors"))
    assert network(torch.zeros(2, 64)).isfinite().all()
    assert sum(p.numel() for p in network.parameters()) == read_journal(out / "journal.jsonl")[-1]["parameters"]


@pytest.mark.share(0.35)
@pytest.mark.parametrize("kind", ["edge", "node", "layer"])
def test_a_run_with_one_kind(tmp_path, kind):
    events = grown(tmp_path / "run", *settings(growth__candidates=f"[{kind}]", growth__significance=0))
    assert events
    assert all(event["inserted"]["kind"] == kind for event in events)
    check_directory(tmp_path / "run")


def test_what_the_loss_does_not_miss_is_removed(tmp_path):
    """With a limit that allows everything, each step takes away what it can; with 0, what costs nothing."""
    kinds = settings(growth__candidates="[node, edge]", growth__significance=0)
    generous = grown(tmp_path / "generous", *kinds, *settings(growth__prune_tolerance=100))
    assert generous
    removed = [entry for entry in removals(tmp_path / "generous") if entry]
    assert removed
    assert all(entry["kind"] == "remove" and entry["parameters"] < 0 for entry in removed)
    check_directory(tmp_path / "generous")
    strict = grown(tmp_path / "strict", *kinds, *settings(growth__prune_tolerance=0))
    assert len(strict) == len(removals(tmp_path / "strict"))
    assert all(entry is None or entry["gain"] >= 0 for entry in removals(tmp_path / "strict"))
    assert grown(tmp_path / "none", *kinds)
    assert removals(tmp_path / "none") == []
