"""Products of nodes, as in gated units: their factors are ordinary nodes, and the product itself stays as wide."""

import pytest
import torch
from reference_checks import check_nodes
from reference_network import batches, graph, inputs_for, mean_loss, network, normal, squared
from zoo import node

from dagrow.graph import feature_units, site
from dagrow.graph.insertions import order_conflict
from dagrow.planner import apply, propose
from dagrow.spec.graph import EdgeId

GATED = graph(
    {"x": [4]},
    {"b": node(2, "tanh"), "gate": node(3, "silu"), "up": 3, "h": {"merge": "multiply", "activation": "tanh"}, "y": 2},
    {
        "x->b": "linear",
        "b->gate": "linear",
        "x->up": "linear",
        "gate->h": "identity",
        "up->h": "identity",
        "h->y": "linear",
    },
)


def test_moments_of_the_factors_are_those_of_the_loops():
    """v_goal at a factor is that at the product times the other factor."""
    check_nodes(GATED, samples=5)


@pytest.mark.parametrize("kind", ["widen", "update", "node", "edge"])
def test_promised_gain_is_the_drop_of_the_loss(kind):
    model, x = network(GATED), inputs_for(GATED, 40, seed=2)
    data = batches(x, torch.sin(3 * x[0] @ normal(4, 2)), [25, 15])
    plan = propose(model, squared, data, candidates=[kind], neurons=2, significance=0, shrinkage=0)
    before = mean_loss(model, squared, data)
    apply(model, plan.best)
    assert before - mean_loss(model, squared, data) == pytest.approx(plan.best.gain, rel=1e-5)
    if kind == "widen":
        reasons = {place.node: place.reason for place in plan.not_growable}
        assert reasons["h"] == "a product has the size of its factors, and both would have to grow at once"
        assert reasons["gate"] == "the identity edge gate -> h ties its size to that of 'h'"


def test_nothing_else_may_lead_into_a_product():
    dag = network(GATED).dag
    assert order_conflict(dag, "x", "h") == "'h' is a product: another factor would change it as a whole"
    assert feature_units(dag, EdgeId("h", "y")) == [("h", 3)]
    assert site(dag, "b").node == "b"
