"""A candidate that gains less than its parameters cost is rejected, with both figures; a run ends by it."""

import pytest
import torch
from test_planner_selection import candidate

import dagrow
from dagrow.planner.parameter_penalty import priced

RUN = """
graph:
  inputs: {x: {shape: [4]}}
  nodes: {h: {size: 1, activation: relu}, y: {size: 3}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: [y]
data: {dataset: iris}
training: {final_epochs: 0}
growth: {method: random, neurons: 1, significance: 0, held_out: 0, shrinkage: 0, patience: 2, budget: {steps: 9}}
"""


@pytest.mark.parametrize(
    ("gain", "held", "price", "expected"),
    [
        (0.2, None, 0.0, ""),
        (0.2, None, 0.02, ""),
        (0.2, None, 0.021, "gains 0.2, less than the 0.21 that its parameters cost"),
        (0.2, 0.1, 0.015, "gains 0.1, less than the 0.15 that its parameters cost"),
        (0.1, 0.2, 0.015, ""),
    ],
)
def test_the_gain_that_counts_is_compared_with_the_cost(gain, held, price, expected):
    """Of ten parameters."""
    found = priced(candidate("h", gain, held=held), price)
    assert found.rejected == expected
    assert (found.gain == 0.0) == (found.amplitude == 0.0) == (found.trial is None and bool(expected))


def test_what_has_no_price_stays():
    for free in (
        candidate("h", 0.1, cost=(0, 5)),
        candidate("h", -0.1, cost=(-10, -5)),
        candidate("h", 0.0, still=True),
        candidate("h", 0.0, rejected="over the budget"),
    ):
        assert priced(free, 1e9) is free


def test_a_price_that_is_none(tmp_path):
    (tmp_path / "run.yaml").write_text(RUN)
    network = dagrow.build(dagrow.load_run(tmp_path / "run.yaml").graph, seed=0)
    with pytest.raises(dagrow.DagrowError, match="^min_gain_per_parameter is a number from 0, not -1"):
        dagrow.propose(network, torch.nn.functional.cross_entropy, [], min_gain_per_parameter=-1.0)


def test_growth_ends_when_nothing_is_worth_its_price(tmp_path):
    (tmp_path / "run.yaml").write_text(RUN)
    result = dagrow.grow(dagrow.load_run(tmp_path / "run.yaml", ["growth.min_gain_per_parameter=1000"]), write=False)
    steps = [event for event in result.events if event["event"] == "growth"]
    assert len(steps) == 2
    assert all("that its parameters cost" in step["plan"]["candidates"][0]["rejected"] for step in steps)
    assert result.model.spec.nodes["h"].size == 1
