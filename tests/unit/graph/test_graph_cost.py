"""Costs: parameters against the real network, multiply-adds by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import conv, graph

from dagrow.build import build
from dagrow.graph import Cost, Dag, cost, widest_fan_in
from dagrow.spec.graph import GraphSpec


@st.composite
def graphs(draw: st.DrawFn) -> GraphSpec:
    """Layered graphs on vectors, tokens or maps, with skips, norms and concats, ending in one vector."""
    shape = draw(st.sampled_from([[3], [4, 3], [2, 6, 5]]))
    count = draw(st.integers(1, 4))
    nodes, edges = {}, {}
    above = ["x"]
    for index in range(count):
        name = f"n{index}"
        norms = ["none", "layer", "rms"] if len(shape) == 2 else ["none", "batch", "layer"]
        size = draw(st.sampled_from([2, 4]))
        nodes[name] = {
            "size": size,
            "norm": draw(st.sampled_from(norms)),
            "activation": draw(st.sampled_from(["relu", "tanh"])),
        }
        parents = draw(st.lists(st.sampled_from(above), min_size=1, max_size=3, unique=True))
        if above[-1] not in parents:
            parents.append(above[-1])
        concat = draw(st.booleans())
        if concat:
            nodes[name] = {**nodes[name], "merge": "concat", "size": None}
        for parent in parents:
            op = {"op": "linear"} if len(shape) < 3 else conv(draw(st.sampled_from([1, 3, (1, 3)])), padding="same")
            op["bias"] = draw(st.booleans())
            if len(shape) == 3:
                op["groups"] = draw(st.sampled_from([1, 2]))
            if concat:
                op["size"] = size
            identity = concat and draw(st.booleans())
            edges[f"{parent} -> {name}"] = "identity" if identity else op
        above.append(name)
    last = {1: {}, 2: {"flatten": True}, 3: {"pool": "global_average"}}[len(shape)]
    nodes[above[-1]] |= last
    nodes["y"] = {"size": 2}
    edges[f"{above[-1]} -> y"] = "linear"
    return graph({"x": shape}, nodes, edges, "y")


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_parameters_are_those_of_the_network(spec):
    model = build(spec, seed=0).eval()
    dag = Dag.of(spec)
    assert cost(dag).parameters == sum(p.numel() for p in model.parameters())
    x = torch.zeros(2, *spec.inputs["x"].shape)
    assert model(x).shape == (2, *dag.output("y"))


def test_multiply_adds_by_hand():
    mlp = graph(
        {"x": [7]},
        {"h": {"size": 5, "norm": "batch"}, "y": {"size": 3}},
        {"x -> h": "linear", "h -> y": "linear", "x -> y": {"op": "linear", "bias": False}},
        "y",
    )
    assert cost(Dag.of(mlp)) == Cost(7 * 5 + 5 + 2 * 5 + 5 * 3 + 3 + 7 * 3, 7 * 5 + 5 * 3 + 7 * 3)
    nodes = {"h": {"size": 4, "pool": {"kind": "max"}}, "k": {"size": 6, "flatten": True}, "y": {"size": 3}}
    edges = {
        "x -> h": conv(padding=1),
        "h -> k": conv((3, 1), stride=2, groups=2, bias=False),
        "k -> y": "linear",
    }
    # h: 8 x 10 positions; pooled 4 x 5; k: 1 x 3 positions, each output reads 2 of 4 channels.
    cnn = cost(Dag.of(graph({"x": [2, 8, 10]}, nodes, edges, "y")))
    assert cnn.multiply_adds == 8 * 10 * 4 * (2 * 9) + 1 * 3 * 6 * (2 * 3) + 18 * 3
    assert cnn.parameters == 4 * (18 + 1) + 6 * 2 * 3 + 3 * (18 + 1)
    tokens = graph(
        {"x": [5, 3]},
        {"h": {"size": 2}, "y": {"merge": "concat", "flatten": True}},
        {"x -> h": "linear", "h -> y": "identity"},
        "y",
    )
    assert cost(Dag.of(tokens)) == Cost(8, 5 * 3 * 2)


def test_differences():
    assert Cost(5, 7).minus(Cost(2, 9)) == Cost(3, -2)


def test_the_widest_fan_in_is_that_of_all_weighted_edges_into_a_node():
    nodes = {"h": {"size": 3}, "c": {"merge": "concat"}, "y": {"size": 2}}
    edges = {"x -> h": "linear", "x -> c": "identity", "h -> c": "identity", "c -> y": "linear", "x -> y": "linear"}
    assert widest_fan_in(Dag.of(graph({"x": [4]}, nodes, edges, "y"))) == ("y", 7 + 4)
    maps = graph({"x": [2, 5, 6]}, {"y": {"size": 1}}, {"x -> y": conv(3)}, "y")
    assert widest_fan_in(Dag.of(maps)) == ("y", 2 * 9)
