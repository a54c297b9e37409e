"""`changes`: what differs between two graphs, and nothing else."""

import json

import pytest
from zoo import conv, graph

from dagrow.errors import SpecError
from dagrow.graph import changes, load_graph
from dagrow.ops import find_op
from dagrow.spec import EdgeId, GraphSpec, plain_graph

INPUTS = {"x": [4]}
NODES = {"h": {"size": 2, "activation": "relu"}, "y": {"size": 3}}
EDGES = {"x -> h": "linear", "h -> y": "linear"}
SMALL = graph(INPUTS, NODES, EDGES, ["y"])
linear = find_op("linear")


def test_nothing_changed():
    change = changes(SMALL, graph(INPUTS, dict(reversed(NODES.items())), EDGES, "y"))
    assert not change
    assert not any((change.inputs, change.nodes, change.edges))
    assert (change.sizes, change.reordered, change.outputs) == ({}, (), None)


def test_a_wider_node():
    change = changes(SMALL, graph(INPUTS, {**NODES, "h": {"size": 5, "activation": "relu"}}, EDGES, "y"))
    assert change
    assert change.sizes == {"h": (2, 5)}
    assert [spec.size for spec in change.nodes.changed["h"]] == [2, 5]
    assert not change.edges


def test_a_new_node_with_its_edges_and_back():
    nodes, edges = {**NODES, "k": {"size": 1}}, {**EDGES, "x -> k": "linear", "k -> y": {"op": "linear", "bias": False}}
    larger = graph(INPUTS, nodes, edges, "y")
    change, back = changes(SMALL, larger), changes(larger, SMALL)
    assert list(change.nodes.added) == ["k"]
    assert change.edges.added == {EdgeId("x", "k"): linear(), EdgeId("k", "y"): linear(bias=False)}
    assert not any((change.nodes.removed, change.nodes.changed, change.sizes, change.edges.removed))
    assert back.nodes.removed == change.nodes.added
    assert back.edges.removed == change.edges.added


def test_an_edge_replaced_by_edge_node_edge():
    deeper = graph(
        INPUTS, {**NODES, "k": {"size": 2}}, {"x -> h": "linear", "h -> k": "linear", "k -> y": "linear"}, "y"
    )
    change = changes(SMALL, deeper)
    assert list(change.edges.removed) == [EdgeId("h", "y")]
    assert list(change.edges.added) == [EdgeId("h", "k"), EdgeId("k", "y")]


def test_a_concat_without_a_size_grows_along():
    def both(size):
        nodes = {"h": {"size": size}, "k": {"size": 2}, "c": {"merge": "concat"}, "y": {"size": 3}}
        edges = {"x -> h": "linear", "x -> k": "linear", "h -> c": "identity", "k -> c": "identity", "c -> y": "linear"}
        return graph(INPUTS, nodes, edges, "y")

    change = changes(both(2), both(4))
    assert change.sizes == {"h": (2, 4), "c": (4, 6)}
    assert list(change.nodes.changed) == ["h"]


def test_the_order_of_a_concat_counts_and_that_of_a_sum_does_not():
    def joined(merge, order):
        nodes = {"h": {"size": 2}, "k": {"size": 2}, "c": {"merge": merge}, "y": {"size": 3}}
        edges = {"x -> h": "linear", "x -> k": "linear", **{f"{v} -> c": "identity" for v in order}, "c -> y": "linear"}
        return graph(INPUTS, nodes, edges, "y")

    assert changes(joined("concat", "hk"), joined("concat", "kh")).reordered == ("c",)
    assert not changes(joined("sum", "hk"), joined("sum", "kh"))


def test_inputs_ops_and_outputs():
    def maps(shape, kernel, outputs):
        nodes = {"c": {"size": 2, "flatten": True}, "y": {"size": 3}, "z": {"size": 1}}
        edges = {"x -> c": conv(kernel), "c -> y": "linear", "c -> z": "linear"}
        return graph({"x": shape}, nodes, edges, outputs)

    change = changes(maps([1, 6, 6], 3, ["y", "z"]), maps([1, 8, 8], 5, ["z", "y"]))
    assert [spec.shape for spec in change.inputs.changed["x"]] == [(1, 6, 6), (1, 8, 8)]
    assert [op.kernel for op in change.edges.changed[EdgeId("x", "c")]] == [(3, 3), (5, 5)]
    assert change.outputs == (("y", "z"), ("z", "y"))


def test_a_graph_that_does_not_hold_together_is_refused():
    with pytest.raises(SpecError, match="'k'"):
        changes(SMALL, graph(INPUTS, NODES, {**EDGES, "k -> y": "linear"}, "y"))


def test_the_plain_form_is_the_file_s_and_comes_back_equal(tmp_path):
    spec = graph(
        {"x": [1, 8, 8]},
        {"c": {"size": 2, "norm": "batch", "pool": {"kind": "max", "kernel": 2}, "flatten": True}, "y": {"size": 3}},
        {"x -> c": conv([3, 1], stride=2, padding=1, bias=False), "c -> y": "linear"},
        "y",
    )
    plain = json.loads(json.dumps(plain_graph(spec)))
    assert GraphSpec.model_validate(plain) == spec
    assert plain["edges"]["c -> y"] == "linear"
    (tmp_path / "graph.yaml").write_text(json.dumps({"graph": plain}))
    assert load_graph(tmp_path / "graph.yaml") == spec
