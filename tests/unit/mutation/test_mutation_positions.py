"""Where new features land: by hand, for every way that features travel to the edges that read them."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mutation_cases import edge, network, random_change
from tolerances import assert_same_function
from torch import cat
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, linear, max_pool2d

from dagrow.build import build
from dagrow.graph import Dag, cost
from dagrow.mutation import apply_change, widened_spec


def conv(kernel=3, **more):
    return {"op": "conv2d", "kernel": kernel, **more}


VECTOR, MAP, TOKENS = {"shape": [4]}, {"shape": [2, 6, 6]}, {"shape": [3, 4]}
GRAPHS = {
    "middle of a concat": (
        "b",
        {
            "inputs": {"x": VECTOR},
            "nodes": {
                "a": {"size": 2},
                "b": {"size": 3, "activation": "tanh"},
                "c": {"merge": "concat"},
                "y": {"size": 2},
            },
            "edges": {
                "x -> a": "linear",
                "x -> b": "linear",
                "a -> c": "identity",
                "b -> c": "identity",
                "x -> c": "identity",
                "c -> y": "linear",
            },
            "outputs": ["y"],
        },
    ),
    "concat with edges of its own": (
        "b",
        {
            "inputs": {"x": VECTOR},
            "nodes": {
                "b": {"size": 3, "activation": "tanh"},
                "c": {"merge": "concat", "size": 7, "norm": "batch"},
                "y": {"size": 2},
            },
            "edges": {
                "x -> b": "linear",
                "x -> c": {"op": "linear", "size": 4},
                "b -> c": "identity",
                "c -> y": "linear",
            },
            "outputs": ["y"],
        },
    ),
    "flatten through pool": (
        "h",
        {
            "inputs": {"x": MAP},
            "nodes": {
                "h": {"size": 3, "activation": "relu", "pool": {"kind": "max"}, "flatten": True},
                "y": {"size": 2},
            },
            "edges": {"x -> h": conv(), "h -> y": "linear"},
            "outputs": ["y"],
        },
    ),
    "concat, norm, pool, flatten": (
        "h",
        {
            "inputs": {"x": MAP},
            "nodes": {
                "h": {"size": 2, "activation": "tanh", "norm": "batch"},
                "g": {"size": 2},
                "c": {"merge": "concat", "norm": "batch", "pool": {"kind": "average"}, "flatten": True},
                "y": {"size": 2},
            },
            "edges": {
                "x -> g": conv(padding=1),
                "x -> h": conv(padding="same"),
                "g -> c": "identity",
                "h -> c": "identity",
                "x -> c": "identity",
                "c -> y": "linear",
            },
            "outputs": ["y"],
        },
    ),
    "flatten, then concat": (
        "h",
        {
            "inputs": {"x": MAP, "z": VECTOR},
            "nodes": {
                "h": {"size": 2, "activation": "tanh", "flatten": True},
                "c": {"merge": "concat"},
                "y": {"size": 2},
            },
            "edges": {"x -> h": conv(5), "z -> c": "identity", "h -> c": "identity", "c -> y": "linear"},
            "outputs": ["y"],
        },
    ),
    "nested concat": (
        "h",
        {
            "inputs": {"x": VECTOR},
            "nodes": {
                "h": {"size": 2, "activation": "tanh"},
                "g": {"size": 3},
                "c": {"merge": "concat"},
                "d": {"merge": "concat", "activation": "tanh"},
                "y": {"size": 2},
                "z": {"size": 1},
            },
            "edges": {
                "x -> h": "linear",
                "x -> g": "linear",
                "g -> c": "identity",
                "h -> c": "identity",
                "x -> d": "identity",
                "c -> d": "identity",
                "g -> d": "identity",
                "d -> y": "linear",
                "c -> z": "linear",
            },
            "outputs": ["y", "z"],
        },
    ),
    "sized edge into a sum": (
        "h",
        {
            "inputs": {"x": VECTOR},
            "nodes": {"h": {"size": 2, "activation": "tanh"}, "y": {"size": 2}},
            "edges": {"x -> h": {"op": "linear", "size": 2}, "h -> y": {"op": "linear", "size": 2}},
            "outputs": ["y"],
        },
    ),
}


def inputs_of(model, count=5, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, *i.shape, dtype=torch.float64, generator=generator) for i in model.spec.inputs.values()]


def normed(z, state, name, extra=None):
    """Batch norm in eval mode; new features by their own statistics, scale 1, shift 0."""
    keys = ("running_mean", "running_var", "weight", "bias")
    return batch_norm(z, *(extra or [state[f"{name}.norm.{key}"] for key in keys]))


def by_hand(name, old, change, xs):
    """The outputs of the widened network from the old weights and the change, feature by feature."""
    features, x = change.features, xs[0]

    def edges_of(text, weight=None, bias=None):
        key = "{1}.from_{0}".format(*text.split(" -> "))
        w, b = old[f"{key}.weight"], old.get(f"{key}.bias")
        return (w, b) if weight is None else (weight, bias)

    def new_in(text):
        return features.fan_in[edge(text)]

    def out(text):
        return features.fan_out[edge(text)]

    tanh = torch.tanh
    if name == "middle of a concat":
        a, b = linear(x, *edges_of("x -> a")), tanh(linear(x, *edges_of("x -> b")))
        new = tanh(linear(x, *new_in("x -> b")))
        return (linear(cat([a, b, x], 1), *edges_of("c -> y")) + new @ out("c -> y").T,)
    if name == "concat with edges of its own":
        new = normed(tanh(linear(x, *new_in("x -> b"))), old, "c", features.statistics["c"])
        joined = normed(cat([linear(x, *edges_of("x -> c")), tanh(linear(x, *edges_of("x -> b")))], 1), old, "c")
        return (linear(joined, *edges_of("c -> y")) + new @ out("c -> y").T,)
    if name == "flatten through pool":
        h, new = (max_pool2d(conv2d(x, *w).relu(), 2).flatten(1) for w in (edges_of("x -> h"), new_in("x -> h")))
        return (linear(h, *edges_of("h -> y")) + new @ out("h -> y").T,)
    if name == "concat, norm, pool, flatten":
        w, b = new_in("x -> h")
        new = tanh(normed(conv2d(x, w, b, padding=1), old, "h", features.statistics["h"]))
        new = avg_pool2d(normed(new, old, "c", features.statistics["c"]), 2).flatten(1)
        h = tanh(normed(conv2d(x, *edges_of("x -> h"), padding=1), old, "h"))
        joined = cat([conv2d(x, *edges_of("x -> g"), padding=1), h, x], 1)
        joined = avg_pool2d(normed(joined, old, "c"), 2).flatten(1)
        return (linear(joined, *edges_of("c -> y")) + new @ out("c -> y").T,)
    if name == "flatten, then concat":
        h, new = (tanh(conv2d(x, *w)).flatten(1) for w in (edges_of("x -> h"), new_in("x -> h")))
        return (linear(cat([xs[1], h], 1), *edges_of("c -> y")) + new @ out("c -> y").T,)
    if name == "nested concat":
        g, h = linear(x, *edges_of("x -> g")), tanh(linear(x, *edges_of("x -> h")))
        new, c = tanh(linear(x, *new_in("x -> h"))), cat([g, h], 1)
        y = linear(tanh(cat([x, c, g], 1)), *edges_of("d -> y")) + tanh(new) @ out("d -> y").T
        return (y, linear(c, *edges_of("c -> z")) + new @ out("c -> z").T)
    if name == "sized edge into a sum":
        h, new = (tanh(linear(x, *w)) for w in (edges_of("x -> h"), new_in("x -> h")))
        return (linear(h, *edges_of("h -> y")) + new @ out("h -> y").T,)
    raise AssertionError(name)


def as_tuple(y):
    return y if isinstance(y, tuple) else (y,)


def with_history(name):
    """The network in eval mode, its norms with statistics and scales of their own."""
    model = network(GRAPHS[name][1])
    generator = torch.Generator().manual_seed(4)
    for key, tensor in model.state_dict().items():
        if ".norm." in key and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) + 0.5)
    return model.eval()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_widened_network_computes_what_is_computed_by_hand(name, count):
    model = with_history(name)
    old = {key: value.clone() for key, value in model.state_dict().items()}
    change = random_change(model, GRAPHS[name][0], count)
    xs = inputs_of(model)
    expected = by_hand(name, old, change, xs)
    apply_change(model, change)
    for found, wanted in zip(as_tuple(model(*xs)), expected, strict=True):
        assert_same_function(found, wanted)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", GRAPHS)
def test_at_amplitude_zero_nothing_moves(name, training):
    model = with_history(name).train(training)
    xs = inputs_of(model)
    before = as_tuple(copy.deepcopy(model)(*xs))
    apply_change(model, random_change(model, GRAPHS[name][0], 3, fan_out=0.0))
    for found, wanted in zip(as_tuple(model(*xs)), before, strict=True):
        assert_same_function(found, wanted)


@pytest.mark.parametrize("name", GRAPHS)
@settings(max_examples=4, deadline=None)
@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_the_spec_matches_the_weights(name, counts):
    model = with_history(name)
    node = GRAPHS[name][0]
    for turn, count in enumerate(counts):
        expected = widened_spec(model.dag, node, count)
        apply_change(model, random_change(model, node, count, seed=turn))
        assert model.spec == expected
    again = build(model.spec, seed=9).double().eval()
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert {key: value.shape for key, value in again.state_dict().items()} == shapes
    assert [repr(m) for m in again.modules()] == [repr(m) for m in model.modules()]
    assert cost(model.dag).parameters == sum(p.numel() for p in model.parameters())
    again.load_state_dict(model.state_dict())
    xs = inputs_of(model)
    for found, wanted in zip(as_tuple(again(*xs)), as_tuple(model(*xs)), strict=True):
        assert torch.equal(found, wanted)


def test_an_open_share_of_a_concat_becomes_a_size():
    fields = copy.deepcopy(GRAPHS["concat with edges of its own"][1])
    fields["edges"]["x -> c"] = "linear"
    dag = Dag.of(network(fields).spec)
    grown = widened_spec(dag, "b", 2)
    assert grown.edges[edge("x -> c")].size == 4
    assert (grown.nodes["c"].size, grown.nodes["b"].size) == (9, 5)
    assert grown.nodes["y"] == dag.spec.nodes["y"]
    assert list(grown.nodes) == list(dag.spec.nodes)
    assert list(grown.edges) == list(dag.spec.edges)


def test_a_concat_without_size_stays_without():
    dag = network(GRAPHS["nested concat"][1]).dag
    grown = widened_spec(dag, "h", 2)
    assert (grown.nodes["c"].size, grown.nodes["d"].size) == (None, None)
    assert (Dag.of(grown).size("c"), Dag.of(grown).size("d")) == (dag.size("c") + 2, dag.size("d") + 2)
