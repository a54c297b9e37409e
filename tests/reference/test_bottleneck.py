"""The expressivity bottleneck of nodes against explicit least squares in float64, sample by sample."""

import copy

import numpy as np
import pytest
import reference_loops as loops
import torch
from reference_checks import case, close
from reference_network import batches, graph, inputs_for, mean_loss, network, normal, squared
from torch.nn import functional

import dagrow
from dagrow.planner import propose
from dagrow.statistics import ActivationCache, IndexedBatches, node_bottlenecks, weighted_edges

BARE = {"op": "linear", "bias": False}
GRAPHS = {
    "chain": graph({"x": [3]}, {"h": {"size": 2, "activation": "tanh"}, "y": 2}, {"x->h": "linear", "h->y": "linear"}),
    "skip": graph(
        {"x": [3], "z": [2]},
        {"h": {"size": 2, "activation": "selu"}, "y": 2},
        {"x->h": "linear", "x->y": BARE, "z->y": "linear", "h->y": BARE},
    ),
    "tokens": graph(
        {"x": [4, 3]}, {"h": {"size": 2, "activation": "selu"}, "y": 2}, {"x->h": "linear", "h->y": "linear"}
    ),
    "concat": graph(
        {"x": [3], "z": [2]},
        {"h": {"merge": "concat", "activation": "selu"}, "y": 2},
        {"x->h": {"op": "linear", "size": 2}, "z->h": {**BARE, "size": 1}, "x->y": "linear", "h->y": BARE},
    ),
    "convolutions": graph(
        {"x": [2, 5, 5]},
        {
            "c": {"size": 3, "activation": "tanh"},
            "d": {"size": 2, "activation": "selu", "flatten": True},
            "y": 2,
        },
        {
            "x->c": {"op": "conv2d", "kernel": 3, "stride": 2, "padding": 1},
            "c->d": {"op": "conv2d", "kernel": 2},
            "d->y": "linear",
        },
    ),
}
SAMPLES = 40


def found(model, x, y, held_out, shrinkages=(0.0,)):
    stream = IndexedBatches(batches(x, y, [7, SAMPLES - 7]), model, held_out)
    nodes = [node for node in model.dag.order if weighted_edges(model.dag, node)]
    found = node_bottlenecks(ActivationCache(model, squared, stream, nodes), nodes, shrinkages)
    held = torch.cat([batch.held for batch in stream]).numpy()
    return {each.node: each for each in found}, held


def powers(dag, node, values, dW):
    """``||v_goal||^2`` and ``||v_goal - dW B||^2`` of each sample, positions summed."""
    goal, left = [], []
    for each in values:
        v = loops.node_goal(node, each)
        goal.append(float((v**2).sum()))
        left.append(float(((v - loops.node_features(dag.spec, node, each) @ dW.T) ** 2).sum()))
    return np.array(goal), np.array(left)


def error_of_ratio(left, goal):
    n, share = len(goal), left.sum() / goal.sum()
    return np.sqrt(((left - share * goal) ** 2).sum() * n / (n - 1)) / goal.sum()


@pytest.mark.parametrize("held_out", [0.0, 0.4])
@pytest.mark.parametrize("name", GRAPHS)
def test_it_is_what_least_squares_leave(name, held_out):
    model, x, y, values = case(GRAPHS[name], SAMPLES)
    nodes, held = found(model, x, y, held_out)
    assert nodes.keys() == {node for node in model.spec.nodes if loops.weighted(model.spec, node)}
    fitting = [each for each, out in zip(values, held, strict=True) if not out]
    judging = [each for each, out in zip(values, held, strict=True) if out or not held_out]
    assert len(judging) == (held.sum() if held_out else SAMPLES) > 5
    for node, bottleneck in nodes.items():
        dW = loops.best_update(model.dag, node, fitting)
        goal, left = powers(model.dag, node, judging, dW)
        close(bottleneck.desired_power, goal.mean())
        close(bottleneck.share, left.sum() / goal.sum(), tolerance=1e-8)
        close(bottleneck.standard_error, error_of_ratio(left, goal), tolerance=1e-6)
        goal, left = powers(model.dag, node, fitting, dW)
        close(bottleneck.fitted_share, left.sum() / goal.sum(), tolerance=1e-8, scale=1.0)


def test_the_error_is_that_of_leaving_samples_out():
    """Against the jackknife of the ratio, another estimate of the same error."""
    model, x, y, values = case(GRAPHS["chain"], SAMPLES)
    nodes, _ = found(model, x, y, 0.0)
    for node, bottleneck in nodes.items():
        goal, left = powers(model.dag, node, values, loops.best_update(model.dag, node, values))
        ratios = np.array([(left.sum() - r) / (goal.sum() - g) for r, g in zip(left, goal, strict=True)])
        jackknife = np.sqrt((SAMPLES - 1) / SAMPLES * ((ratios - ratios.mean()) ** 2).sum())
        assert bottleneck.standard_error == pytest.approx(jackknife, rel=0.15)


def test_a_ridge_is_chosen_where_features_are_as_many_as_samples():
    """Without one, all is supplied where it was fitted, and far less than nothing elsewhere."""
    model, x, y, _ = case(graph({"x": [30]}, {"y": 2}, {"x->y": "linear"}), SAMPLES)
    plain = found(model, x, y, 0.4)[0]["y"]
    chosen = found(model, x, y, 0.4, (0.0, 1.0, 1e4))[0]["y"]
    assert plain.fitted_share == pytest.approx(0, abs=1e-9)
    assert plain.share > 1.0
    assert chosen.shrinkage > 0
    assert chosen.share < plain.share
    assert chosen.fitted_share == plain.fitted_share


def test_a_node_of_which_nothing_is_asked():
    spec = GRAPHS["chain"]
    model = network(spec)
    x = inputs_for(spec, SAMPLES)
    with torch.no_grad():
        y = model(*x)
    nodes, _ = found(model, x, y, 0.0)
    assert [(each.share, each.standard_error, each.desired_power) for each in nodes.values()] == [(None, None, 0.0)] * 2


def test_frozen_weights_supply_nothing():
    model, x, y, values = case(GRAPHS["chain"], SAMPLES)
    model.get_submodule("y").requires_grad_(False)
    nodes, _ = found(model, x, y, 0.0)
    assert nodes["y"].share == pytest.approx(1.0, rel=1e-12)
    goal, left = powers(model.dag, "h", values, loops.best_update(model.dag, "h", values))
    close(nodes["h"].share, left.sum() / goal.sum(), tolerance=1e-8)


def test_spot_is_made_of_these_and_of_the_plan(long_searches):
    spec = GRAPHS["chain"]
    model = network(spec)
    x = inputs_for(spec, 400)
    y = torch.sin(3 * x[0] @ normal(3, 2, seed=9))
    data = batches(x, y, [150, 250])
    before = copy.deepcopy(model.state_dict())
    spotted = dagrow.spot(model, squared, data, neurons=3, shrinkage=0.0, held_out=0.3)
    plan = propose(model, squared, data, neurons=3, shrinkage=0.0, held_out=0.3)
    (widening,), (candidate,) = spotted.widenings, plan.candidates
    assert candidate.held_out_gain == widening.gain
    assert (candidate.neurons, candidate.cost) == (widening.features, widening.cost)
    assert (widening.node, widening.readers) == ("h", ("y",))
    squares = sum(score**2 for score in candidate.scores)
    assert widening.relief == pytest.approx(squares / candidate.bottleneck)
    assert spotted.loss == pytest.approx(mean_loss(model, squared, data))
    assert [each.node for each in spotted.bottlenecks] == ["h", "y"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    # What the readers lack, by the plan's own statistics and by these.
    y_share = next(each for each in spotted.bottlenecks if each.node == "y")
    assert 0 < y_share.fitted_share < 1


def test_the_interval_of_a_gain_holds_the_gain_on_other_samples():
    """Of some draws of 300 samples, the gain on 20 000 others lies within two standard errors, but for chance."""

    def target(x):
        return torch.sin(2 * x[:, :2]) + x[:, 2:].abs()

    inside = []
    for seed in range(16):
        model = network(GRAPHS["chain"], seed)
        x, many = normal(300, 3, seed=seed), (normal(20_000, 3, seed=100 + seed),)
        others = [(many, target(*many))]
        options = {"neurons": 2, "shrinkage": 0.0, "held_out": 0.4, "significance": 0.0, "fallback_method": "none"}
        plan = propose(model, functional.mse_loss, [(x, target(x))], **options)
        if plan.best is None:
            continue
        start = mean_loss(model, functional.mse_loss, others)
        dagrow.apply(model, plan.best)
        gain = start - mean_loss(model, functional.mse_loss, others)
        estimate = plan.best.estimate
        assert estimate.gain == plan.best.gain
        inside.append(abs(gain - estimate.held_out_gain) < 2 * estimate.standard_error)
    assert len(inside) >= 10
    assert sum(inside) >= 0.75 * len(inside)
