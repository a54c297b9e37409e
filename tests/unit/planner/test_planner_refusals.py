"""Requests that make no sense are refused in one sentence, before the data are looked at; places say why not."""

import pytest
import torch
from torch.nn import functional

from dagrow.build import build
from dagrow.errors import DagrowError, SpecError
from dagrow.graph import NodeTemplate, Structure, new_edge, new_node, split_edge
from dagrow.planner import propose
from dagrow.spec.graph import EdgeId, GraphSpec


def network(inputs, nodes, edges, outputs="y"):
    fields = {"inputs": {name: {"shape": shape} for name, shape in inputs.items()}, "outputs": outputs}
    return build(GraphSpec.model_validate({**fields, "nodes": nodes, "edges": edges}), seed=0)


def plain():
    nodes = {"h": {"size": 3, "activation": "relu"}, "k": {"size": 2}, "y": {"size": 2}}
    return network({"x": [4]}, nodes, {"x->h": "linear", "h->k": "linear", "k->y": "linear", "h->y": "linear"})


def never():
    """Data that must not be asked for."""
    raise AssertionError
    yield


WRONG = [
    ({"candidates": ["nodde"]}, r"unknown kind of candidate 'nodde' \(did you mean 'node'\?\); allowed: widen, edge"),
    ({"candidates": "nodde"}, r"unknown kind of candidate 'nodde'"),
    ({"method": "nonlinaer"}, r"unknown method 'nonlinaer' \(did you mean 'nonlinear'\?\)"),
    ({"where": "gian"}, r"unknown strategy 'gian' \(did you mean 'gain'\?\)"),
    ({"fan_out": "half"}, r"fan_out is 'full' or 'pointwise', not 'half'"),
    (
        {"new_node": {"activation": "rleu"}},
        r"new_node / activation: unknown activation 'rleu' \(did you mean 'relu'\?\)",
    ),
    ({"new_node": {"activation": ["relu", 3]}}, r"new_node / activation / 1: unknown activation 3"),
    ({"new_node": {"norm": "bacth"}}, r"new_node / norm: unknown norm 'bacth' \(did you mean 'batch'\?\)"),
    ({"new_node": {"kernel": 0}}, r"new_node / kernel: expected at least 1, found 0"),
    ({"new_node": {"kernels": 3}}, r"new_node / kernels: unknown field 'kernels' \(did you mean 'kernel'\?\)"),
    ({"new_node": "relu"}, r"new_node: expected a mapping"),
    ({"new_node": 0}, r"new_node: expected a mapping"),
    *(
        ({name: value}, f"{name} is a whole number from 1, not {value}")
        for name in ("max_solved", "max_searched")
        for value in (0, -1, 2.5)
    ),
    *(
        ({"prune_tolerance": value}, r"prune_tolerance is a number from 0, not ")
        for value in (-0.1, float("nan"), float("inf"))
    ),
    ({"significance": -1.0}, r"significance is a number from 0, not -1.0"),
    ({"nodes": ["hh"]}, r"there is no node 'hh' \(did you mean 'h'\?\); nodes: h, k, y"),
    ({"nodes": ["h"], "candidates": ["remove"]}, r"'h' cannot grow: its children feed one another"),
    ({"nodes": ["y"], "candidates": ["widen"]}, r"'y' cannot grow: it is an output"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda part: str(part)[:40])
def test_it_is_refused(options, message):
    with pytest.raises(DagrowError, match=f"^{message}") as caught:
        propose(plain(), functional.mse_loss, never(), **{"candidates": ["node"], **options})
    assert isinstance(caught.value, SpecError if "new_node" in options else DagrowError)
    assert "\n" not in str(caught.value)


def test_one_kind_may_stand_alone():
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    plan = propose(plain(), functional.mse_loss, [(x, x[:, :2].abs())], candidates="edge", shrinkage=0)
    assert {candidate.kind for candidate in plan.candidates} == {"edge"}


CONV = {"op": "conv2d", "padding": 1}


def maps():
    nodes = {
        "h": {"size": 3, "activation": "relu"},
        "p": {"pool": "global_average"},
        "a": {"size": 3, "activation": "relu", "pool": "global_average"},
        "c": {"merge": "concat"},
        "y": {"size": 2},
    }
    edges = {
        "x->h": CONV,
        "x->p": "identity",
        "h->a": "identity",
        "p->c": "identity",
        "a->c": "identity",
        "c->y": "linear",
    }
    return network({"x": [2, 4, 4]}, nodes, edges).dag


def test_why_there_can_be_no_edge():
    dag = maps()
    assert new_edge(dag, "y", "h", 3) == "'h' comes before 'y': the graph would have a cycle"
    assert new_edge(dag, "h", "h", 3) == "'h' comes before 'h': the graph would have a cycle"
    assert new_edge(dag, "h", "c", 3) == "'c' is a concat: another edge would change its size"
    assert new_edge(dag, "c", "y", 3) == "there is such an edge already"
    assert new_edge(dag, "x", "y", 3) == "'p' holds the average of 'x' already"
    assert new_edge(dag, "p", "h", 3) == "no op leads from [2] of 'p' to [3, 4, 4] of 'h'"


AVERAGES = "'mean' only averages: what reads it can be written directly"


@pytest.mark.parametrize(("more", "outputs", "why"), [
    ({}, ["y"], AVERAGES),
    ({}, ["y", "mean"], None),
    ({"activation": "relu"}, ["y"], None),
    ({"norm": "batch"}, ["y"], None),
])  # fmt: skip
def test_what_only_averages_is_not_written(more, outputs, why):
    mean = {"size": 2, "pool": "global_average", **more}
    nodes = {"h": {"size": 3, "flatten": True}, "g": {"size": 3}, "mean": mean, "y": {"size": 2}}
    conv = {"op": "conv2d", "padding": 1}
    edges = {"x->h": conv, "x->g": conv, "g->h": conv, "x->mean": conv, "mean->y": "linear", "h->y": "linear"}
    dag = network({"x": [1, 4, 4]}, nodes, edges, outputs).dag
    for found in (new_edge(dag, "g", "mean", 3), new_node(dag, ("g",), ("mean",), NodeTemplate())):
        assert found == why if why else isinstance(found, Structure)
    assert isinstance(new_edge(dag, "x", "y", 3), Structure)


def test_a_pool_behind_an_activation_is_not_the_average_of_what_it_reads():
    """a averages relu(h), not h: the edge h -> y has something to say."""
    found = new_edge(maps(), "h", "y", 3)
    assert isinstance(found, Structure)
    assert [str(edge) for edge in found.edges] == ["h -> h_mean1", "h_mean1 -> y"]


def test_why_there_can_be_no_node_and_no_layer():
    dag = maps()
    assert new_node(dag, ("y",), ("h",), NodeTemplate()) == "'h' comes before 'y': the graph would have a cycle"
    assert new_node(dag, ("p",), ("h",), NodeTemplate()) == "no op leads from [2] of 'p' to [3, 4, 4] of 'h'"
    template = NodeTemplate("relu")
    assert split_edge(dag, EdgeId("x", "p"), template, early=True) == "an identity edge has no weights to keep"
    late = split_edge(dag, EdgeId("x", "h"), NodeTemplate("selu"), early=False)
    assert late == "the selu keeps a function only behind the old weights"
    assert isinstance(split_edge(dag, EdgeId("x", "h"), template, early=False), Structure)


def test_what_cannot_be_removed_says_why():
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    plan = propose(plain(), functional.mse_loss, [(x, x[:, :2])], candidates=["remove"], shrinkage=0, prune_tolerance=0)
    assert plan.candidates
    for candidate in plan.candidates:
        assert candidate.rejected.startswith("the loss would rise by ") or candidate.gain >= 0


def test_where_every_place_is_taken_there_is_nothing_to_do():
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    plan = propose(plain(), functional.mse_loss, [(x, x[:, :2].abs())], candidates="edge", nodes=["h"], shrinkage=0)
    assert (plan.candidates, plan.best) == ((), None)
    assert [str(place.reason) for place in plan.not_growable] == [
        "edge: every edge that could lead into it is there already"
    ]
