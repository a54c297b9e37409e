"""Moments of linear networks against loops: vectors, tokens, several parents and children, concats."""

import numpy as np
import pytest
import reference_loops as loops
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_checks import case, check_nodes, check_site, close, collected
from reference_network import batches, graph, inputs_for, mean_loss, network, normal, sample_values
from torch.nn import functional

from dagrow.graph import site
from dagrow.ops import find_op
from dagrow.statistics import IndexedBatches, SiteLayout

BARE = {"op": "linear", "bias": False}

GRAPHS = {
    "chain": graph({"x": [3]}, {"h": {"size": 2, "activation": "selu"}, "y": 2}, {"x->h": "linear", "h->y": "linear"}),
    "tokens": graph(
        {"x": [3, 2]}, {"h": {"size": 2, "activation": "tanh"}, "y": 2}, {"x->h": "linear", "h->y": "linear"}
    ),
    "tokens averaged": graph(
        {"x": [3, 2]},
        {"h": {"size": 2, "activation": "gelu", "pool": "global_average"}, "y": 3},
        {"x->h": "linear", "h->y": "linear"},
    ),
    "two parents": graph(
        {"x": [3], "z": [2]},
        {"h": {"size": 2, "activation": "relu"}, "y": 2},
        {"x->h": "linear", "z->h": "linear", "h->y": "linear", "z->y": "linear"},
    ),
    "parents without bias": graph(
        {"x": [3], "z": [2]},
        {"h": {"size": 2, "activation": "relu"}, "y": 2},
        {"x->h": BARE, "z->h": BARE, "h->y": BARE},
    ),
    "one parent without bias": graph(
        {"x": [3], "z": [2]},
        {"h": 2, "y": 2},
        {"x->h": BARE, "z->h": "linear", "h->y": BARE, "z->y": "linear"},
    ),
    "several children": graph(
        {"x": [4]},
        {"h": {"size": 2, "activation": "selu"}, "k": {"size": 3, "activation": "tanh"}, "y": 2, "w": 1},
        {
            "x->h": "linear",
            "h->k": "linear",
            "h->y": "linear",
            "k->y": "linear",
            "k->w": "linear",
            "h->w": BARE,
        },
        ["y", "w"],
    ),
    "concat": graph(
        {"x": [3]},
        {
            "h": {"size": 2, "activation": "relu"},
            "k": 2,
            "c": {"merge": "concat", "activation": "tanh"},
            "y": 2,
        },
        {
            "x->h": "linear",
            "x->k": "linear",
            "k->c": "identity",
            "h->c": "identity",
            "c->y": "linear",
            "h->y": BARE,
        },
    ),
    "writes into a concat": graph(
        {"x": [3]},
        {
            "h": {"size": 2, "activation": "selu"},
            "c": {"merge": "concat", "activation": "selu", "size": 7},
            "y": 2,
        },
        {"x->h": "linear", "x->c": "identity", "h->c": {"op": "linear", "size": 4}, "c->y": "linear"},
    ),
    "sum with an identity": graph(
        {"x": [3]},
        {"h": {"size": 2, "activation": "tanh"}, "k": 3, "y": 3},
        {"x->h": "linear", "h->k": "linear", "x->k": "identity", "k->y": "identity", "h->y": "linear"},
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_node_moments_are_those_of_the_loops(name):
    check_nodes(GRAPHS[name])


@pytest.mark.parametrize("name", GRAPHS)
def test_site_moments_are_those_of_the_loops(name, monkeypatch):
    check_site(monkeypatch, GRAPHS[name], samples=9)


def test_moments_of_a_loss_that_is_not_squared():
    """The gradient is per sample: a mean loss scaled by the number of samples, for uneven batches too."""
    spec = graph({"x": [3]}, {"h": {"size": 2, "activation": "selu"}, "y": 3}, {"x->h": "linear", "h->y": "linear"})
    model, x = network(spec), inputs_for(spec, 5)
    y = torch.tensor([0, 2, 1, 1, 0])
    values = sample_values(model, functional.cross_entropy, x, y)
    data = batches(x, y, [3, 2])
    found = collected(model, functional.cross_entropy, IndexedBatches(data, model), nodes=["h", "y"])
    for node in ("h", "y"):
        S, N, squares = loops.node_moments(spec, node, values)
        close(found.nodes[node].S, S)
        close(found.nodes[node].N, N)
        close(found.nodes[node].v_goal_squared, squares)
    # The interpreter of these tests computes what the network computes.
    assert mean_loss(model, functional.cross_entropy, data) == pytest.approx(
        np.mean([-functional.log_softmax(torch.tensor(v.b["y"]), 0)[t] for v, t in zip(values, y, strict=True)])
    )


sizes = st.integers(1, 3)


@settings(max_examples=25)
@given(
    parents=st.lists(st.tuples(sizes, st.booleans()), min_size=1, max_size=3),
    children=st.lists(st.tuples(sizes, st.booleans()), min_size=1, max_size=2),
    tokens=st.sampled_from([None, 1, 3]),
    hidden=sizes,
    seed=st.integers(0, 99),
)
def test_any_parents_and_children(parents, children, tokens, hidden, seed):
    lead = [] if tokens is None else [tokens]
    inputs = {f"x{i}": [*lead, size] for i, (size, _) in enumerate(parents)}
    nodes = {"h": {"size": hidden, "activation": "selu"}}
    edges = {f"x{i}->h": {"op": "linear", "bias": bias} for i, (_, bias) in enumerate(parents)}
    for i, (size, bias) in enumerate(children):
        nodes[f"y{i}"] = size
        edges[f"h->y{i}"] = {"op": "linear", "bias": bias}
    edges["x0->y0"] = BARE
    spec = graph(inputs, nodes, edges, [f"y{i}" for i in range(len(children))])
    with pytest.MonkeyPatch.context() as patch:
        check_site(patch, spec, samples=7, seed=seed)
    check_nodes(spec, samples=3, seed=seed)


def test_features_are_what_the_layer_multiplies():
    op = find_op("linear")()
    for shape in ((5, 3), (5, 4, 3)):
        x, weight = normal(*shape), normal(2, 3, seed=1)
        features = op.features(x)
        assert features.shape[-1] == op.feature_count(shape[1:])
        torch.testing.assert_close((features @ weight.T).reshape(*shape[:-1], 2), op.functional(x, weight, None))


@pytest.mark.parametrize("name", GRAPHS)
def test_neurons_in_matrix_form_are_the_weights_that_are_inserted(name):
    """alpha . B is the pre-activation of the new neuron; omega times it is what the children get."""
    spec = GRAPHS[name]
    model, _, _, values = case(spec, 6)
    layout = SiteLayout(model.dag, site(model.dag, "h"), pointwise=False)
    alpha = normal(layout.feature_count, 2, seed=3)
    if not layout.has_bias:
        alpha[-1] = 0
    fan_in = layout.split_fan_in(alpha, torch.float64)
    for one in values:
        explicit = loops.node_features(spec, "h", one) @ alpha.numpy()
        written = [
            model.dag.op(edge).functional(torch.tensor(one.b[edge.source])[None], weight, bias)
            for edge, (weight, bias) in fan_in.items()
        ]
        close(sum(written).reshape(explicit.shape), explicit)
    omega = normal(2, sum(part.stop - part.start for part in layout.columns.values()), seed=4)
    for edge, weight in layout.split_fan_out(omega, torch.float64).items():
        assert torch.equal(weight, omega[:, layout.columns[edge]].T)
