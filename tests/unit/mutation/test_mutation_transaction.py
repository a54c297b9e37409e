"""All or nothing: an error at any moment of a growth leaves everything as it was."""

import copy
from dataclasses import replace

import pytest
import torch
from mutation_cases import (
    MLP,
    BreaksAfter,
    Broken,
    Picture,
    broken_commits,
    edge,
    losses_step,
    network,
    random_change,
)
from zoo import graph

from dagrow.build import build
from dagrow.build.edge_weight import EdgeWeight
from dagrow.errors import DagrowError, GrowthError
from dagrow.graph import Cost
from dagrow.mutation import Change, WeightUpdate, apply_change
from dagrow.mutation import apply as apply_module
from dagrow.mutation import transaction as transaction_module
from dagrow.planner import apply, propose
from dagrow.planner.candidate import Candidate

NORMED = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {
        "h": {"size": 3, "activation": "tanh", "norm": "batch"},
        "c": {"merge": "concat", "norm": "batch"},
        "y": {"size": 2},
    },
    "edges": {
        "x -> h": "linear",
        "h -> c": "identity",
        "x -> c": "identity",
        "c -> y": "linear",
        "h -> y": "linear",
    },
    "outputs": ["y"],
}


def grown():
    """A trained network, its optimizer, and a change with features, norms and an update."""
    model = network(NORMED)
    optimizer = torch.optim.Adam(model.parameters(), amsgrad=True)
    x = torch.randn(16, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        losses_step(model, x, optimizer)
    ones = EdgeWeight(torch.ones(2, 3, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    update = {edge("h -> y"): ones}
    change = replace(random_change(model, "h", 2), updates=(WeightUpdate("y", update),))
    return model, optimizer, change, x


def test_the_change_itself_is_made():
    model, optimizer, change, x = grown()
    old, y = model.state_dict(), model.eval()(x)
    bias, weight = (old[f"y.from_h.{key}"].clone() for key in ("bias", "weight"))
    apply_change(model, change, optimizer)
    assert torch.equal(model.y.from_h.bias, bias + 1)
    assert torch.equal(model.y.from_h.weight[:, :3], weight + 1)
    assert not torch.allclose(model(x), y)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_error_at_any_step_of_the_commit_changes_nothing(monkeypatch, moment):
    model, optimizer, change, x = grown()
    before = Picture(model, optimizer)
    y = copy.deepcopy(model)(x)
    count = 0
    for tried in broken_commits(monkeypatch, moment):
        count = tried
        with pytest.raises(Broken):
            apply_change(model, change, optimizer)
        before.assert_unchanged()
    assert count > 15
    assert torch.equal(copy.deepcopy(model)(x), y)
    apply_change(model, change, optimizer)
    assert model.spec.nodes["h"].size == 5


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (apply_module, "widened_spec"),
        (apply_module, "widen_edits"),
        (apply_module, "added"),
        (apply_module, "prepare"),
        (apply_module, "as_optimizers"),
        (apply_module, "check_holding"),
        (apply_module, "frozen_problem"),
        (transaction_module, "_refit_layers"),
        (transaction_module, "node_layers"),
        (transaction_module, "slots_of"),
        (transaction_module, "parameters_of"),
        (transaction_module, "carried_state"),
        (transaction_module, "_replace_tensor"),
    ],
)
def test_an_error_at_any_moment_of_the_preparation_changes_nothing(monkeypatch, module, name):
    function = BreaksAfter(monkeypatch, module, name)
    model, optimizer, change, _ = grown()
    apply_change(model, change, optimizer)
    count = function.calls
    assert count > 0
    model, optimizer, change, _ = grown()
    before = Picture(model, optimizer)
    for broken in range(count):
        function.after(broken)
        with pytest.raises(Broken):
            apply_change(model, change, optimizer)
        before.assert_unchanged()


def mlp(**changes):
    fields = {key: {**value} if isinstance(value, dict) else value for key, value in MLP.items()}
    for section, entries in changes.items():
        fields[section].update(entries)
        fields[section] = {key: value for key, value in fields[section].items() if value is not None}
    return graph(**fields)


OTHERS = {
    "no such node": graph(
        inputs={"x": {"shape": [4]}},
        nodes={"g": {"size": 3}, "y": {"size": 2}},
        edges={"x -> g": "linear", "g -> y": "linear"},
        outputs="y",
    ),
    "the node is an output": graph(
        inputs={"x": {"shape": [4]}}, nodes={"h": {"size": 3}}, edges={"x -> h": "linear"}, outputs="h"
    ),
    "more edges into it": mlp(inputs={"z": {"shape": [4]}}, edges={"z -> h": "linear"}),
    "another parent": mlp(inputs={"z": {"shape": [4]}}, edges={"x -> h": None, "z -> h": "linear", "x -> y": "linear"}),
    "fewer children": mlp(edges={"h -> y": None}),
    "more children": mlp(nodes={"l": {"size": 2}}, edges={"h -> l": "linear", "l -> y": "linear"}),
    "no bias": mlp(edges={"x -> h": {"op": "linear", "bias": False}}),
    "a norm": mlp(nodes={"h": {"size": 3, "norm": "batch"}}),
    "a layer norm": mlp(nodes={"h": {"size": 3, "norm": "layer"}}),
    "a wider parent": mlp(inputs={"x": {"shape": [5]}}),
    "a wider child": mlp(nodes={"k": {"size": 7}}),
    "through a concat": mlp(
        nodes={"c": {"merge": "concat"}}, edges={"h -> k": None, "h -> c": "identity", "c -> k": "linear"}
    ),
    "convolutions": graph(
        inputs={"x": {"shape": [4, 3, 3]}},
        nodes={"h": {"size": 3, "pool": "global_average"}, "k": {"size": 2}, "y": {"size": 2}},
        edges={"x -> h": "conv2d", "h -> k": "linear", "k -> y": "linear", "h -> y": "linear"},
        outputs="y",
    ),
}


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, dtype=torch.float64, generator=generator)
    return [(x, torch.stack([x[:, 0] * x[:, 1], x[:, 2].abs()], 1))]


@pytest.fixture(scope="module")
def candidate():
    plan = propose(
        network(MLP),
        torch.nn.functional.mse_loss,
        data(),
        nodes=["h"],
        shrinkage=0,
        significance=0,
        neurons=2,
    )
    assert plan.best is not None
    return plan.best


@pytest.mark.parametrize("name", OTHERS)
def test_a_candidate_for_another_network_is_refused(name, candidate):
    other = build(OTHERS[name], seed=0).double()
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    before = Picture(other, optimizer)
    with pytest.raises(GrowthError):
        apply(other, candidate, optimizer)
    before.assert_unchanged()


def test_an_update_for_another_network_is_refused():
    model = network(MLP)
    before = Picture(model)
    for where, weight in (("x -> h", torch.zeros(3, 5)), ("x -> k", torch.zeros(2, 4))):
        with pytest.raises(GrowthError, match=r"the change was made for another network: .* does not fit"):
            apply_change(model, Change(updates=(WeightUpdate("h", {edge(where): EdgeWeight(weight, None)}),)))
        before.assert_unchanged()


def test_it_fits_any_network_of_the_same_graph(candidate):
    first, second = network(MLP), network(MLP)
    apply(first, candidate)
    apply(second, candidate)
    x = data()[0][0]
    assert torch.equal(first(x), second(x))
    assert first.spec.nodes["h"].size == 3 + candidate.neurons


def test_rejected_candidates_are_refused(candidate):
    model = network(MLP)
    before = Picture(model)
    rejected = Candidate("widen", "h", 0, 0.0, None, 0.0, None, (), 0.0, 0.0, Cost(0, 0), rejected="no gain at all")
    for refused in (rejected, replace(candidate, amplitude=0.0), replace(candidate, trial=None)):
        with pytest.raises(GrowthError, match=r"^this widen of 'h' is not to be inserted: "):
            apply(model, refused)
    with pytest.raises(GrowthError, match="no gain at all"):
        apply(model, rejected)
    with pytest.raises(GrowthError, match="unknown insert 'loud'; allowed: amplitude, zero_fan_out"):
        apply(model, candidate, insert="loud")
    with pytest.raises(DagrowError, match=r"must come from dagrow\.build"):
        apply(torch.nn.Linear(2, 2), candidate)
    before.assert_unchanged()
