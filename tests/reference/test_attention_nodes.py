"""Nodes whose tokens attend to one another: values, statistics of the edges around them, and what may grow."""

import pytest
import torch
from reference_checks import check_nodes, check_site, close
from reference_network import batches, forward, graph, inputs_for, mean_loss, network, normal, squared
from zoo import GROWING, node

from dagrow.graph import GrowableNode, feature_units, site
from dagrow.graph.cost import backward_work, forward_work
from dagrow.layout import TensorLayout
from dagrow.ops import Attention, ShapeError
from dagrow.planner import apply, propose
from dagrow.spec.graph import EdgeId

KINDS = {"one head": {}, "causal": {"causal": True}, "heads": {"heads": 2}, "both": {"heads": 2, "causal": True}}


def around(**attention):
    """Tokens, a node that feeds the attention, and one that reads it."""
    nodes = {"h": node(2, "gelu"), "a": node(12, attention=attention), "k": node(2, "tanh"), "y": 2}
    edges = {"x->h": "linear", "h->a": "linear", "a->k": "linear", "h->k": "linear", "k->y": "linear"}
    return graph({"x": [3, 4]}, nodes, edges)


@pytest.mark.parametrize("name", KINDS)
def test_values_are_those_of_the_loops(name):
    spec = around(**KINDS[name])
    model, x = network(spec), inputs_for(spec, 3)
    _, b = forward(model, x)
    close(model(*x).detach(), b["y"].detach())


@pytest.mark.parametrize("name", KINDS)
def test_moments_are_those_of_the_loops(name, monkeypatch):
    """v_goal at query, key and value is that behind the softmax; h writes them all, k reads what comes out."""
    spec = around(**KINDS[name])
    check_nodes(spec)
    for grown in ("h", "k"):
        check_site(monkeypatch, spec, node=grown, samples=7)


@pytest.mark.parametrize("kind", ["widen", "edge", "node", "update"])
def test_promised_gain_is_the_drop_of_the_loss(kind):
    spec = GROWING["attention"]
    model, x = network(spec), inputs_for(spec, 40, seed=2)
    data = batches(x, torch.sin(2 * x[0].mean(1) @ normal(4, 3)), [25, 15])
    plan = propose(model, squared, data, candidates=[kind], neurons=2, significance=0, shrinkage=0)
    at_attention = [c for c in plan.candidates if c.trial is not None and "qkv" in c.place]
    assert at_attention or kind == "widen"
    for candidate in [*at_attention[:1], plan.best]:
        other = network(spec)
        before = mean_loss(other, squared, data)
        apply(other, candidate)
        assert before - mean_loss(other, squared, data) == pytest.approx(candidate.gain, rel=1e-5)


def test_the_node_itself_says_why_it_stays():
    dag = network(around(heads=2)).dag
    assert "query, key and value of 2 heads, which do not grow one at a time" in site(dag, "a").reason
    assert all(isinstance(site(dag, name), GrowableNode) for name in ("h", "k"))
    joined = graph(
        {"x": [3, 4]},
        {"q": 2, "k": 2, "v": 2, "a": {"merge": "concat", "attention": {}}, "y": 2},
        {
            **{f"x->{name}": "linear" for name in "qkv"},
            **{f"{name}->a": "identity" for name in "qkv"},
            "a->y": "linear",
        },
    )
    assert "attention of 'a' takes its features" in site(network(joined).dag, "q").reason
    assert feature_units(network(joined).dag, EdgeId("a", "y")) == [("a", 2)]


def test_what_it_takes_is_counted():
    dag = network(around(heads=2)).dag
    edges = sum(dag.multiply_adds.values())
    assert forward_work(dag) - edges == 2 * 3 * 3 * 4
    assert backward_work(dag) == forward_work(dag) - dag.multiply_adds[EdgeId("x", "h")]


@pytest.mark.parametrize(("shape", "text"), [((6,), "vectors"), ((4, 8), "8 is no multiple of 6"), ((2, 2, 6), "axes")])
def test_other_shapes_are_refused(shape, text):
    with pytest.raises(ShapeError, match=text):
        Attention(heads=2).output_shape(TensorLayout(shape, len(shape) - 1))
