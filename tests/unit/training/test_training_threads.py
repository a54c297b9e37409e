"""Small networks compute with one thread, large ones with all; the caller's number comes back."""

from pathlib import Path

import pytest
import torch

import dagrow
from dagrow.cli.main import main
from dagrow.journal.reader import read_journal
from dagrow.spec import GraphSpec, RunSpec
from dagrow.training import threads
from dagrow.training.schedules import Unit
from dagrow.training.threads import MACS_PER_THREAD, threads_of, threads_worth, unit_macs


@pytest.mark.parametrize(
    ("macs", "available", "expected"),
    [(0, 8, 1), (MACS_PER_THREAD, 8, 1), (2 * MACS_PER_THREAD, 8, 2), (1e12, 8, 8), (1e12, 1, 1)],
)
def test_threads_follow_the_size_of_a_product(macs, available, expected):
    assert threads_worth(macs, available) == expected


class _Context:
    def __init__(self, size, samples):
        graph = {
            "inputs": {"x": {"shape": [size]}},
            "nodes": {"h": {"size": size}, "y": {"size": 2}},
            "edges": {"x -> h": "linear", "h -> y": "linear"},
            "outputs": "y",
        }
        self.spec = RunSpec.model_validate(
            {"graph": graph, "data": {"dataset": "iris"}, "training": {"batch_size": 128}}
        )
        self.split = type("Split", (), {"train": range(samples)})
        self.network = dagrow.build(GraphSpec.model_validate(graph), seed=0)


def test_the_average_layer_counts(monkeypatch):
    context = _Context(size=100, samples=1000)
    # Three products per edge: forward, back to the input, where a node gave it, and to the weight.
    forward = 100 * 100 + 100 * 2
    expected = (2 * forward + 100 * 2) / (3 * 2) * 128
    assert unit_macs(Unit.EPOCH, context, context.network.dag) == expected
    assert unit_macs(Unit.GROWTH, context, context.network.dag) == 100**2 * 1000


@pytest.mark.parametrize(("size", "expected"), [(4, 1), (2_000, 2)])
def test_the_number_comes_back_whatever_happens(monkeypatch, size, expected):
    told, available = [], 2
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: available)
    monkeypatch.setattr(threads.torch, "set_num_threads", told.append)
    context = _Context(size, samples=1000)
    with pytest.raises(KeyError), threads_of(Unit.EPOCH, context, context) as chosen:
        raise KeyError
    assert (chosen, told) == (expected, [expected, available])
    assert torch.get_num_threads() == available


def test_the_command_line_sets_them_and_the_journal_says_them(tmp_path):
    run = Path(__file__).parents[3] / "specs" / "digits.yaml"
    short = ("--set", "training.final_epochs=1", "--set", "growth.budget.steps=0", "--out", str(tmp_path / "run"))
    before = torch.get_num_threads()
    try:
        with pytest.raises(SystemExit):
            main(["grow", str(run), *short, "--threads", "1"])
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    events = read_journal(tmp_path / "run" / "journal.jsonl")
    assert [event["threads"] for event in events if event["event"] == "epoch"] == [1]
