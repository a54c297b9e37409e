"""Multiply-adds that are told are those that torch itself counts, within a tenth."""

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode
from zoo import chain, node

import dagrow
from dagrow.flop_counter import counted, spend
from dagrow.graph import Dag, training_macs

DENSE = {
    "inputs": {"x": {"shape": [12]}},
    "nodes": {"h1": {"size": 3, "activation": "relu"}, "h2": {"size": 4, "activation": "relu"}, "y": {"size": 5}},
    "edges": {"x -> h1": "linear", "h1 -> h2": "linear", "h2 -> y": "linear", "x -> h2": "linear"},
    "outputs": ["y"],
}
MAPS = {
    "inputs": {"x": {"shape": [2, 6, 6]}},
    "nodes": {
        "c1": {"size": 3, "activation": "selu"},
        "c2": {"size": 3, "activation": "selu", "pool": {"kind": "max", "kernel": 2}, "flatten": True},
        "y": {"size": 5},
    },
    "edges": {
        "x -> c1": {"op": "conv2d", "kernel": 3, "padding": "same"},
        "c1 -> c2": {"op": "conv2d", "kernel": 3, "padding": 1},
        "c2 -> y": "linear",
    },
    "outputs": ["y"],
}


def _added(shape, left, right, out_shape=None, **_):
    """In-place sums of products, which torch's table has not."""
    return 2 * left[0] * left[1] * right[1]


def by_torch(work):
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: _added}) as counter:
        work()
    return counter.get_total_flops() / 2


def case(graph, samples):
    spec = dagrow.GraphSpec.model_validate(graph)
    torch.manual_seed(0)
    shape = spec.inputs["x"].shape
    return dagrow.build(spec, seed=0), torch.rand(samples, *shape), torch.randint(5, (samples,))


@pytest.mark.share(0.35)
@pytest.mark.parametrize(
    ("graph", "options"),
    [
        (DENSE, {"method": "random"}),
        (DENSE, {"method": "tiny", "with_update": True}),
        (DENSE, {"method": "nonlinear"}),
        (DENSE, {"method": "firefly"}),
        (DENSE, {"candidates": ("widen", "node", "edge")}),
        (MAPS, {"method": "random"}),
        (MAPS, {"method": "tiny"}),
        (MAPS, {"method": "firefly"}),
    ],
    ids=lambda value: "-".join(map(str, value)) if value not in (DENSE, MAPS) else "",
)
def test_of_a_proposal(graph, options):
    model, x, y = case(graph, 300)
    model.eval()

    def work():
        dagrow.propose(
            model, cross_entropy, [(x[:150], y[:150]), (x[150:], y[150:])], significance=0, shrinkage=0, **options
        )

    with counted() as told:
        work()
    assert told.multiply_adds == pytest.approx(by_torch(work), rel=0.1)


@pytest.mark.parametrize("graph", [DENSE, MAPS])
def test_of_gradient_descent(graph):
    model, x, y = case(graph, 10)
    told = 10 * training_macs(Dag.of(model.spec))
    assert told == by_torch(lambda: cross_entropy(model(x), y).backward())


def widening_of_a_chain(nodes, solved, searched):
    """The plan, and the passes that it took."""
    model, x, y = case(chain(*nodes * [node(6, "selu")], features=6, outputs=5), 2000)
    with counted() as told:
        # The search that completes TINY has a price of its own, wherever rounding leaves too little of the moments.
        plan = dagrow.propose(
            model.eval(),
            cross_entropy,
            [(x, y)],
            significance=0,
            fallback_method="none",
            max_solved=solved,
            max_searched=searched,
        )
    return plan, told.multiply_adds / (2000 * training_macs(model.dag))


def test_widening_takes_as_many_passes_on_a_large_graph():
    (small, few), (large, many) = widening_of_a_chain(12, 4, 2), widening_of_a_chain(48, 4, 2)
    assert many < 1.3 * few
    for plan, nodes in ((small, 12), (large, 48)):
        behind = [c for c in plan.candidates if c.rejected.startswith("behind at first order")]
        # So deep, a node may be left with nothing but rounding.
        assert nodes - 2 <= plan.stages.drafted <= nodes
        assert (len(behind), plan.stages.searched) == (plan.stages.drafted - 4, 2)


def test_of_few_places_none_falls_out_at_first_order():
    (plan, _), (every, _) = widening_of_a_chain(6, 6, 2), widening_of_a_chain(6, 100, 2)
    assert str(plan) == str(every)
    assert not any(c.rejected.startswith("behind at first order") for c in plan.candidates)


def test_counts_may_be_nested_and_end():
    with counted() as outer:
        spend(3)
        with counted() as inner:
            spend(4.7)
        spend(1)
    spend(100)
    assert (inner.multiply_adds, outer.multiply_adds) == (4, 8)
