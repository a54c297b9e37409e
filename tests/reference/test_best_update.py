"""The best update of existing weights (thesis Prop. 3.2.2) against least squares on explicit matrices."""

import numpy as np
import pytest
import reference_loops as loops
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_checks import case, close, collected
from reference_network import (
    batches,
    forward,
    graph,
    inputs_for,
    inserted,
    mean_loss,
    network,
    normal,
    squared,
    stream,
)

from dagrow.methods import Metric, explained
from dagrow.mutation import Change, WeightUpdate
from dagrow.planner import propose
from dagrow.statistics import edge_widths, solve_update, split_update

BARE = {"op": "linear", "bias": False}


def conv(**fields):
    return {"op": "conv2d", **fields}


GRAPHS = {
    "one edge": graph({"x": [3]}, {"y": 2}, {"x->y": "linear"}),
    "no bias": graph({"x": [3]}, {"y": 2}, {"x->y": BARE}),
    "two biased edges": graph({"x": [3], "z": [2]}, {"y": 2}, {"x->y": "linear", "z->y": "linear"}),
    "one biased edge of three": graph(
        {"x": [3], "z": [2]},
        {"h": {"size": 2, "activation": "relu"}, "y": 2},
        {"x->h": "linear", "x->y": BARE, "z->y": "linear", "h->y": BARE},
    ),
    "hidden": graph(
        {"x": [3]},
        {"h": {"size": 2, "activation": "tanh"}, "y": 2},
        {"x->h": "linear", "h->y": "linear", "x->y": "linear"},
    ),
    "tokens": graph(
        {"x": [4, 3]}, {"h": {"size": 2, "activation": "selu"}, "y": 2}, {"x->h": "linear", "h->y": "linear"}
    ),
    "concat": graph(
        {"x": [3], "z": [2]},
        {"h": {"merge": "concat", "activation": "selu"}, "y": 2},
        {"x->h": {"op": "linear", "size": 2}, "z->h": {**BARE, "size": 1}, "x->y": "linear", "h->y": BARE},
    ),
    "concat with an identity": graph(
        {"x": [3], "z": [2]},
        {"h": {"merge": "concat", "activation": "tanh", "size": 5}, "y": 2},
        {"x->h": "identity", "z->h": "linear", "h->y": "linear"},
    ),
    "convolution": graph(
        {"x": [2, 5, 4]},
        {"h": {"size": 2, "activation": "relu"}, "y": 2},
        {
            "x->h": conv(kernel=(2, 1), stride=(2, 1)),
            "h->y": conv(kernel=(2, 3), padding=(1, 1), dilation=(2, 1)),
        },
    ),
    "two biased convolutions": graph(
        {"x": [2, 4, 4], "z": [1, 5, 5]}, {"y": 3}, {"x->y": conv(padding=1), "z->y": conv(kernel=2)}
    ),
    "groups": graph({"x": [4, 3, 3]}, {"y": 6}, {"x->y": conv(padding=1, groups=2)}),
    "groups beside groups": graph(
        {"x": [4, 3, 3], "z": [6, 3, 3]},
        {"y": 12},
        {"x->y": conv(kernel=1, groups=4), "z->y": conv(kernel=1, groups=6)},
    ),
    "groups in a concat": graph(
        {"x": [4, 3, 3], "z": [1, 3, 3]},
        {"y": {"merge": "concat"}},
        {"x->y": conv(kernel=1, groups=2, size=4), "z->y": conv(padding=1, size=3, bias=False)},
    ),
}


def updates(spec, samples):
    """Per node with weights: the best update by dagrow and by least squares, and what both are made of."""
    model, x, y, values = case(spec, samples)
    for node in (name for name in spec.nodes if loops.weighted(spec, name)):
        moments = collected(model, squared, stream(model, x, y), nodes=[node]).nodes[node]
        yield model, x, values, node, moments, solve_update(model.dag, node, moments)


@pytest.mark.parametrize("samples", [2, 40])
@pytest.mark.parametrize("name", GRAPHS)
def test_it_is_the_least_squares_solution(name, samples):
    for model, _, values, node, moments, dW in updates(GRAPHS[name], samples):
        B = np.concatenate([loops.node_features(model.spec, node, one) for one in values])
        expected = loops.best_update(model.dag, node, values)
        close(B @ dW.numpy().T, B @ expected.T, tolerance=1e-7)
        # Where an edge has no weight (another slot, another group, no bias) there is no update.
        for m in range(dW.shape[0]):
            others = np.setdiff1d(np.arange(dW.shape[1]), loops.allowed_columns(model.dag, node, m))
            assert not dW[m, others].any()
        left = np.mean([(r**2).sum() for r in loops.residuals(model.dag, node, values)])
        taken = float((dW.T * moments.N).sum())
        assert moments.v_goal_squared - taken == pytest.approx(left, rel=1e-7, abs=1e-9 * moments.v_goal_squared)


@pytest.mark.share(0.28)
@pytest.mark.parametrize("name", GRAPHS)
def test_with_frozen_weights_it_is_the_least_squares_solution_of_the_others(name):
    spec = GRAPHS[name]
    for node in (node for node in spec.nodes if loops.weighted(spec, node)):
        edges = loops.weighted(spec, node)
        keys = [f"{node}.from_{e.source}.{key}" for e in edges for key in ("weight", "bias")]
        for frozen in ({keys[0]}, {keys[1]}, set(keys[:2]), set(keys[1::2]), set(keys)):
            model, x, y, values = case(spec, 40)
            moments = collected(model, squared, stream(model, x, y), nodes=[node]).nodes[node]
            dW = solve_update(model.dag, node, moments, frozen=frozen).numpy()
            B = np.concatenate([loops.node_features(spec, node, one) for one in values])
            V = np.concatenate([loops.node_goal(node, one) for one in values])
            held, start = [], 0
            for edge in edges:
                width = edge_widths(model.dag, node)[edge]
                if f"{node}.from_{edge.source}.weight" in frozen:
                    held += range(start, start + width)
                start += width
            for m in range(dW.shape[0]):
                slots = [e for e in edges if model.dag.slots(node)[e].start <= m < model.dag.slots(node)[e].stop]
                biased = [f"{node}.from_{e.source}.bias" for e in slots if model.dag.op(e).bias]
                fixed = [*held, *([start] if biased and frozen.issuperset(biased) else [])]
                columns = [c for c in loops.allowed_columns(model.dag, node, m) if c not in fixed]
                expected = np.linalg.lstsq(B[:, columns], V[:, m], rcond=None)[0] if columns else np.zeros(0)
                close(B @ dW[m], B[:, columns] @ expected, tolerance=1e-7)
                assert not np.delete(dW[m], columns).any()
            parts = split_update(model.dag, node, torch.from_numpy(dW), torch.float64, frozen=frozen)
            for edge, (weight, bias) in parts.items():
                assert not (f"{node}.from_{edge.source}.weight" in frozen and weight.any())
                assert not (bias is not None and f"{node}.from_{edge.source}.bias" in frozen and bias.any())


@pytest.mark.parametrize("name", GRAPHS)
def test_applied_it_changes_the_pre_activation_by_exactly_what_it_says(name):
    """The constant is counted once: edges that carry a bias share its update."""
    for model, x, values, node, _, dW in updates(GRAPHS[name], 7):
        update = WeightUpdate(node, split_update(model.dag, node, dW, torch.float64))
        changed, _ = forward(inserted(model, Change(updates=(update,))), x)
        for n, one in enumerate(values):
            wanted = loops.node_features(model.spec, node, one) @ dW.numpy().T
            difference = changed[node][n].detach().numpy() - one.a[node]
            rows = np.array([loops.at(difference, j) for j in loops.positions(difference)])
            close(rows, wanted, scale=max(1.0, np.abs(wanted).max()))


def test_the_bottleneck_is_what_the_update_leaves():
    for _, _, values, node, moments, _ in updates(GRAPHS["hidden"], 40):
        left = np.mean([(r**2).sum() for r in loops.residuals(network(GRAPHS["hidden"]).dag, node, values)])
        metric = Metric(moments.S)
        assert moments.v_goal_squared - explained(metric, moments.N) == pytest.approx(left, rel=1e-9)


LINEAR = {
    "one edge": GRAPHS["one edge"],
    "no bias": GRAPHS["no bias"],
    "two biased edges": GRAPHS["two biased edges"],
    "a linear node beside a skip": graph(
        {"x": [4]}, {"h": 2, "y": 3}, {"x->h": "linear", "h->y": "linear", "x->y": "linear"}
    ),
    "tokens": graph({"x": [3, 4]}, {"y": 2}, {"x->y": "linear"}),
    "convolution": graph({"x": [2, 5, 5]}, {"y": 2}, {"x->y": conv(stride=2, padding=1)}),
}


@pytest.mark.parametrize("name", LINEAR)
def test_on_a_linear_problem_amplitude_1_reaches_the_least_squares_solution(name):
    spec = LINEAR[name]
    model, x, y, values = case(spec, 60)
    moments = collected(model, squared, stream(model, x, y), nodes=["y"]).nodes["y"]
    dW = solve_update(model.dag, "y", moments)
    after = inserted(model, Change(updates=(WeightUpdate("y", split_update(model.dag, "y", dW, torch.float64)),)))
    data = batches(x, y, [60])
    # Lowest squared loss over all weights into y, from the explicit design matrix.
    B = np.concatenate([loops.node_features(spec, "y", one) for one in values])
    rest = y.numpy() if y.dim() < 4 else y.flatten(2).transpose(1, 2).numpy()
    Y = rest.reshape(len(B), -1)
    columns = loops.allowed_columns(model.dag, "y", 0)
    lowest = np.square(Y - B[:, columns] @ np.linalg.lstsq(B[:, columns], Y, rcond=None)[0]).sum() / 2 / 60
    assert mean_loss(model, squared, data) > 1.05 * lowest
    assert mean_loss(after, squared, data) == pytest.approx(lowest, rel=1e-10)


@pytest.mark.parametrize("name", LINEAR)
def test_propose_finds_the_least_squares_solution(name):
    model, x, y, _ = case(LINEAR[name], 60)
    data = batches(x, y, [20, 40])
    plan = propose(model, squared, data, candidates=["update"], nodes=["y"], shrinkage=0)
    assert plan.best.amplitude == pytest.approx(1.0, rel=1e-4)
    after = inserted(model, plan.best.trial.scaled(plan.best.amplitude))
    again = propose(after, squared, data, candidates=["update"], nodes=["y"], shrinkage=0)
    assert again.best is None


@settings(max_examples=25)
@given(
    widths=st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=3),
    samples=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_any_number_of_edges_and_samples(widths, samples, seed):
    """Also with fewer samples than features: the fit is then that of the pseudo-inverse."""
    inputs = {f"x{i}": [width] for i, (width, _) in enumerate(widths)}
    edges = {f"x{i}->y": {"op": "linear", "bias": bias} for i, (_, bias) in enumerate(widths)}
    spec = graph(inputs, {"y": 2}, edges)
    model = network(spec, seed)
    x, y = inputs_for(spec, samples, seed), normal(samples, 2, seed=seed + 9)
    moments = collected(model, squared, stream(model, x, y), nodes=["y"]).nodes["y"]
    dW = solve_update(model.dag, "y", moments)
    parts = [*x, *([torch.ones(samples, 1).double()] if any(bias for _, bias in widths) else [])]
    B = torch.cat(parts, 1)
    v = y - model(*x).detach()
    fit = torch.cat([*x, torch.ones(samples, 1).double()], 1) @ dW.T
    close(fit, B @ torch.linalg.lstsq(B, v, driver="gelsd").solution, tolerance=1e-6, scale=float(v.abs().max()))
