"""Where a graph may grow, and the reasons where it may not."""

import pytest
from zoo import conv, graph

from dagrow.graph import Consumer, Dag, GrowableNode, NotGrowable, site, sites
from dagrow.spec.graph import EdgeId


def dag(nodes, edges, outputs="y", inputs=None):
    return Dag.of(graph(inputs or {"x": [4]}, nodes, edges, outputs))


def one_hidden(**node):
    """x -> h -> y with fields for h."""
    return {"h": {"size": 2, **node}, "y": {"size": 1}}, {"x -> h": "linear", "h -> y": "linear"}


MAP = {"x": [2, 6, 6]}
FIXED = {
    "output": (*one_hidden(), ["h", "y"], None, "it is an output: its size belongs to the task"),
    "layer norm": (
        *one_hidden(norm="layer"),
        "y",
        None,
        "norm 'layer' of 'h' mixes all features, so a new one would change the others",
    ),
    "concat": (
        {"h": {"merge": "concat"}, "y": {"size": 1}},
        {"x -> h": "identity", "h -> y": "linear"},
        "y",
        None,
        "a concat node has the size of what it joins; its parents can grow",
    ),
    "no weights": (
        {"h": {}, "y": {"size": 1}},
        {"x -> h": "identity", "h -> y": "linear"},
        "y",
        None,
        "no edge with weights writes it",
    ),
    "tied above": (
        {"h": {"size": 4}, "y": {"size": 1}},
        {"x -> h": "identity", "z -> h": "linear", "h -> y": "linear"},
        "y",
        {"x": [4], "z": [3]},
        "the identity edge x -> h ties its size to that of 'x'",
    ),
    "tied below": (
        {"h": {"size": 2}, "s": {}, "y": {"size": 1}},
        {"x -> h": "linear", "h -> s": "identity", "s -> y": "linear"},
        "y",
        None,
        "the identity edge h -> s ties its size to that of 's'",
    ),
    "tied beyond a concat": (
        {"h": {"size": 2}, "c": {"merge": "concat"}, "s": {}, "y": {"size": 1}},
        {"x -> h": "linear", "h -> c": "identity", "c -> s": "identity", "s -> y": "linear"},
        "y",
        None,
        "the identity edge c -> s ties its size to that of 's'",
    ),
    "part of an output": (
        {"h": {"size": 2}, "y": {"merge": "concat"}},
        {"x -> h": "linear", "h -> y": "identity", "x -> y": "identity"},
        "y",
        None,
        "it is part of the output 'y': its size belongs to the task",
    ),
    "layer norm of a concat": (
        {"h": {"size": 2}, "c": {"merge": "concat", "norm": "layer"}, "y": {"size": 1}},
        {"x -> h": "linear", "h -> c": "identity", "c -> y": "linear"},
        "y",
        None,
        "norm 'layer' of 'c' mixes all features, so a new one would change the others",
    ),
    "groups above": (
        {"h": {"size": 2, "flatten": True}, "y": {"size": 1}},
        {"x -> h": conv(groups=2), "h -> y": "linear"},
        "y",
        MAP,
        "x -> h: a conv2d with 2 groups ties its sizes together",
    ),
    "groups below": (
        {"h": {"size": 2}, "y": {"size": 2}},
        {"x -> h": conv(), "h -> y": conv(groups=2)},
        "y",
        MAP,
        "h -> y: a conv2d with 2 groups ties its sizes together",
    ),
    "twice": (
        {"h": {"size": 2}, "c": {"merge": "concat"}, "d": {"merge": "concat"}, "y": {"size": 1}},
        {
            "x -> h": "linear",
            "h -> c": "identity",
            "h -> d": "identity",
            "c -> d": "identity",
            "d -> y": "linear",
        },
        "y",
        None,
        "its features reach d -> y by more than one way",
    ),
    "flattened tokens": (
        *one_hidden(flatten=True),
        "y",
        {"x": [3, 4]},
        "'h' flattens tokens, which would tear a new feature into pieces",
    ),
}


@pytest.mark.parametrize("name", FIXED)
def test_reasons(name):
    nodes, edges, outputs, inputs, reason = FIXED[name]
    found = site(dag(nodes, edges, outputs, inputs), "h")
    assert found == NotGrowable("h", reason)


def test_a_plain_site():
    graph_ = dag(*one_hidden(norm="batch"))
    assert site(graph_, "h") == GrowableNode("h", (Consumer(EdgeId("h", "y"), (), False),))
    assert sites(graph_) == (
        site(graph_, "h"),
        NotGrowable("y", "it is an output: its size belongs to the task"),
    )


def test_readings_come_in_the_order_of_the_children():
    nodes = {name: {"size": 2} for name in ("h", "b", "a", "y")}
    edges = {
        "x -> h": "linear",
        "h -> y": "linear",
        "h -> b": "linear",
        "h -> a": "linear",
        "a -> y": "linear",
        "b -> y": "linear",
    }
    found = site(dag(nodes, edges), "h")
    assert [str(reading.edge) for reading in found.readings] == ["h -> a", "h -> b", "h -> y"]


def test_features_pass_concats_and_flatten():
    nodes = {
        "h": {"size": 2, "pool": {"kind": "max"}},
        "c": {"merge": "concat"},
        "d": {"merge": "concat", "flatten": True},
        "k": {"size": 1, "flatten": True},
        "y": {"size": 1},
    }
    edges = {
        "x -> h": conv(padding=1),
        "h -> c": "identity",
        "c -> d": "identity",
        "h -> k": conv(1),
        "c -> k": conv(1),
        "d -> y": "linear",
        "k -> y": "linear",
    }
    found = site(dag(nodes, edges, inputs=MAP), "h")
    assert set(found.readings) == {
        Consumer(EdgeId("h", "k"), (), False),
        Consumer(EdgeId("c", "k"), ("c",), False),
        Consumer(EdgeId("d", "y"), ("c", "d"), True),
    }
    assert found.passed == ("c", "d")


def test_flatten_of_vectors_and_pooled_tokens_is_harmless():
    found = site(dag(*one_hidden(flatten=True)), "h")
    assert [reading.flattened for reading in found.readings] == [False]
    nodes, edges = one_hidden(flatten=True, pool="global_average")
    assert isinstance(site(dag(nodes, edges, inputs={"x": [3, 4]}), "h"), GrowableNode)
