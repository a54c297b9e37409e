"""Tokens: what an embedding and a position edge add to statistics, against loops that make vectors with a 1."""

import numpy as np
import pytest
import torch
from reference_checks import check_nodes, check_site, close
from reference_network import batches, graph, inputs_for, inserted, mean_loss, network, normal, squared
from torch.nn import functional
from zoo import node

from dagrow.graph import GrowableNode, NodeTemplate, site, split_edge
from dagrow.layout import TensorLayout
from dagrow.objectives import LOSSES
from dagrow.ops import find_op
from dagrow.planner import apply, propose
from dagrow.spec.graph import EdgeId

TOKENS = {"shape": [4], "vocabulary": 3}

GRAPHS = {
    "embedding": graph({"x": TOKENS}, {"h": node(2, "tanh"), "y": 2}, {"x->h": "embedding", "h->y": "linear"}),
    "embedding and position": graph(
        {"x": TOKENS, "z": TOKENS},
        {"h": node(2, "gelu"), "y": 2},
        {"x->h": "embedding", "z->h": "position", "h->y": "linear", "x->y": "position"},
    ),
    "position of features": graph(
        {"x": [4, 2]},
        {"h": node(2, "selu"), "k": node(2), "y": node(2, pool="global_average")},
        {"x->h": "linear", "h->k": "position", "h->y": "linear", "k->y": "linear"},
    ),
    "into a concat": graph(
        {"x": TOKENS},
        {"h": node(2, "tanh"), "p": node(1), "c": {"merge": "concat"}, "y": 2},
        {
            "x->h": "embedding",
            "x->p": "position",
            "x->c": {"op": "embedding", "size": 2},
            "p->c": "identity",
            "h->c": "identity",
            "c->y": "linear",
        },
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_moments_are_those_of_the_loops(name, monkeypatch):
    check_nodes(GRAPHS[name])
    check_site(monkeypatch, GRAPHS[name], samples=6)


@pytest.mark.parametrize("op", ["embedding", "position"])
def test_what_an_op_says_of_itself_is_one_function(op):
    """Features times weights, the gradient by autograd, the Gram of the features: in float64, and of whole numbers."""
    source = TensorLayout((4, 5), axis=1, indexed=True)
    edge, W = find_op(op)().reading(source), normal(3, 5 if op == "embedding" else 4)
    x = torch.randint(5, (6, 4), generator=torch.Generator().manual_seed(0))
    v = normal(6, 4, 3, seed=1)
    features = edge.features(x.double())
    assert features.shape[-1] == edge.feature_count(source)
    assert torch.equal(features, edge.features(x).double())
    close(features @ W.T, edge.functional(x, W, None))
    close(edge.weight_gradient(x.double(), v, W), find_op("linear")().weight_gradient(features, v, W))
    close(edge.gram(x.double()), torch.einsum("ntf,ntg->fg", features, features))
    layer = edge.module(source, (4, 3)).double()
    with torch.no_grad():
        layer.weight.copy_(edge.to_layer_layout(W))
    close(layer(edge.call_before(x.double())).detach(), edge.functional(x, W, None))


@pytest.mark.parametrize("numbers", [torch.float64, torch.int64])
@pytest.mark.parametrize("kind", ["widen", "node", "edge", "update", "remove"])
def test_promised_gain_is_the_drop_of_the_loss(kind, numbers):
    """A new neuron gets an entry per token and per position; whatever format the tokens come in."""
    spec = graph(
        {"x": TOKENS},
        {"h": node(2, "gelu"), "p": node(2, "tanh"), "y": 3},
        {"x->h": "embedding", "x->p": "position", "h->y": "linear", "p->y": "linear"},
    )
    model, x = network(spec), inputs_for(spec, 40, seed=2)[0]
    target = torch.sin(2 * normal(3, 3)[x.long()]) * torch.arange(1, 5).view(1, -1, 1)
    data = batches((x.to(numbers),), target, [25, 15])
    plan = propose(model, squared, data, candidates=[kind], neurons=2, significance=0, shrinkage=0, prune_tolerance=1e9)
    before = mean_loss(model, squared, data)
    apply(model, plan.best)
    assert before - mean_loss(model, squared, data) == pytest.approx(plan.best.gain, rel=1e-5)


def test_a_frozen_embedding_stays_and_the_rest_learns():
    spec = graph(
        {"x": TOKENS},
        {"e": 3, "h": node(2, "tanh"), "y": 2},
        {"x->e": "embedding", "e->h": "linear", "h->y": "linear"},
    )
    model, x = network(spec), inputs_for(spec, 30, seed=2)
    model.get_parameter("e.from_x.weight").requires_grad_(False)
    kept = model.get_parameter("e.from_x.weight").clone()
    data = batches(x, normal(3, 2)[x[0].long()], [30])
    plan = propose(model, squared, data, candidates=["update"], significance=0, shrinkage=0)
    before = mean_loss(model, squared, data)
    apply(model, plan.best)
    assert before - mean_loss(model, squared, data) == pytest.approx(plan.best.gain, rel=1e-5)
    assert torch.equal(model.get_parameter("e.from_x.weight"), kept)
    assert not model.get_parameter("e.from_x.weight").requires_grad


def test_cross_entropy_of_tokens_is_the_mean_over_tokens():
    loss, output = LOSSES["cross_entropy"], normal(5, 4, 3)
    labels = torch.randint(3, (5, 4), generator=torch.Generator().manual_seed(0))
    target = loss.prepare(labels, (4, 3))
    expected = np.mean([float(functional.cross_entropy(o, y)) for o, y in zip(output, labels, strict=True)])
    assert float(loss.mean(output, target)) == pytest.approx(expected)
    right = [float((o.argmax(1) == y).double().mean()) for o, y in zip(output, labels, strict=True)]
    assert loss.correct(output, target).tolist() == pytest.approx(right)
    shares = (torch.bincount(labels.flatten(), minlength=3).double() + 1) / 23
    close(loss.constant(target, TensorLayout((4, 3), 1)).exp(), shares.expand(4, 3))
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    each = functional.cross_entropy(output.flatten(0, 1), labels.flatten(), weights, reduction="sum") / 20
    assert float(loss.weighted(output, target, weights)) == pytest.approx(float(each))


def test_what_only_its_positions_read_does_not_grow():
    spec = GRAPHS["position of features"]
    assert isinstance(site(spec_dag := network(spec).dag, "h"), GrowableNode)
    assert [reading.edge.target for reading in site(spec_dag, "h").readings] == ["y"]
    alone = graph({"x": [4, 2]}, {"h": 2, "y": 2}, {"x->h": "linear", "h->y": "position"})
    assert site(network(alone).dag, "h").reason == "nothing reads its features"


@pytest.mark.parametrize("activation", ["relu", "tanh", "selu"])
def test_a_layer_goes_behind_a_table(activation):
    """Also where the vocabulary is smaller than the node; what shifts values needs a bias, which tables have not."""
    spec = graph(
        {"x": TOKENS},
        {"h": 5, "p": 5, "y": node(2, "tanh")},
        {"x->h": "embedding", "x->p": "position", "h->y": "linear", "p->y": "linear"},
    )
    model, x = network(spec), inputs_for(spec, 20, seed=2)
    for edge in (EdgeId("x", "h"), EdgeId("x", "p")):
        made = split_edge(model.dag, edge, NodeTemplate(activation), early=True)
        if activation == "selu":
            assert made == f"an {spec.edges[edge].name} edge has no bias, by which selu keeps a function"
            continue
        assert [op.name for op in made.edges.values()] == [spec.edges[edge].name, "linear"]
        assert "itself, not a node between" in split_edge(model.dag, edge, NodeTemplate(activation), early=False)
    if activation == "relu":
        data = batches(x, normal(20, 4, 2), [20])
        plan = propose(model, squared, data, candidates=["layer"], method="net2net", new_node={"activation": "relu"})
        kept = [candidate for candidate in plan.candidates if candidate.place.endswith(("x -> h)", "x -> p)"))]
        assert len(kept) == 2
        for candidate in kept:
            other = inserted(model, candidate.trial.scaled(candidate.amplitude))
            close(other(*x).detach(), model(*x).detach())
