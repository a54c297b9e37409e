"""Folding through `propose` and `apply`: one neuron where it was said, silent or not; graphs that it refuses."""

import copy
import json

import pytest
import torch
from tolerances import assert_same_function, gained
from torch.nn import functional
from zoo import graph, path

import dagrow
from dagrow.contrib.folding import chain_edges, chain_of, chain_samples
from dagrow.errors import DataError, GrowthError
from dagrow.methods import METHODS, Method

RELU = {"size": 3, "activation": "relu"}


def relus(nodes=None, edges=None, inputs=None, outputs=("y",)):
    """Two relu layers unless something else is asked for."""
    return graph(
        inputs or {"x": [2]},
        nodes or {"h": RELU, "k": RELU, "y": 2},
        edges or path("x", "h", "k", "y"),
        outputs,
    )


def samples(count=60, seed=0):
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 1] > x[:, 0].sin()).long()


def proposed(model, data, **options):
    return dagrow.propose(model, functional.cross_entropy, data, method="folding", **options)


@pytest.fixture
def model():
    return dagrow.build(relus(), seed=1).eval()


@pytest.mark.parametrize("node", ["h", "k"])
@pytest.mark.parametrize("insert", ["amplitude", "zero_fan_out_unscaled"])
def test_the_neuron_that_was_explained_is_the_one_inserted(model, node, insert):
    x, y = samples()
    best = proposed(model, [(x, y)], nodes=[node]).best
    assert (best.kind, best.place, best.neurons, best.held_out_gain is None) == ("widen", node, 1, False)
    before, grown = model(x).detach(), copy.deepcopy(model)
    dagrow.apply(grown, best, insert=insert)
    edges = chain_edges(grown.dag)
    chain = chain_of(grown, edges)
    layer, why = best.why.layer, best.why
    assert edges[layer].target == node
    torch.testing.assert_close(chain.weights[layer][-1], why.fan_in[:-1], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(chain.biases[layer][-1], why.fan_in[-1], rtol=1e-6, atol=1e-6)
    assert_same_function(grown(x), chain(x.double()))
    if insert == "zero_fan_out_unscaled":
        assert_same_function(grown(x), before)
        assert not chain.weights[layer + 1][:, -1].any()
    else:
        torch.testing.assert_close(chain.weights[layer + 1][:, -1], why.fan_out, rtol=1e-6, atol=1e-7)
        loss = functional.cross_entropy(before, y) - functional.cross_entropy(grown(x).detach(), y)
        assert float(loss) == gained(best.gain, float(functional.cross_entropy(before, y)))
        assert best.amplitude == 1.0


def test_it_is_told_in_a_line_and_in_plain_data(model):
    x, y = samples()
    why = proposed(model, [(x, y)], nodes=["h"]).best.why
    entry = json.loads(json.dumps(why.entry, allow_nan=False))
    assert x[entry["sample"]].tolist() == pytest.approx(entry["instance"])
    assert int(y[entry["sample"]]) == entry["target"] == 1 - entry["predicted"]
    assert f"folds for sample {entry['sample']} (" in str(why)
    assert f"class {entry['target']} taken for {entry['predicted']}: segment {entry['segment']}, " in str(why)
    assert "\n" not in str(why)
    assert [len(part) for part in entry["segment"].split("|")] == [3, 3]


def test_many_inputs_and_units_make_no_long_line():
    wide = relus({"h": {"size": 40, "activation": "relu"}, "y": {"size": 2}}, {"x -> h": "linear", "h -> y": "linear"},
                 {"x": {"shape": [30]}})  # fmt: skip
    x, y = torch.randn(50, 30, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 2
    why = proposed(dagrow.build(wide, seed=0).eval(), [(x, y)]).best.why
    assert len(str(why)) < 200
    assert " of 40 units on" in str(why)
    assert why.scene is None


def test_the_instance_is_not_held_out_and_few_are_judged(model, monkeypatch):
    monkeypatch.setattr(chain_samples, "JUDGED", 15)
    x, y = samples(80)
    for batches in ([(x, y)], list(zip(x.split(7), y.split(7), strict=True))):
        plan = proposed(model, batches, held_out=0.5)
        judged = plan.best.why.judged
        assert len(judged.x) == 15
        assert torch.equal(judged.x, x[judged.index].double())
        assert torch.equal(judged.target, y[judged.index])
    one, two = (proposed(model, data, held_out=0.5).best.why for data in ([(x, y)], batches))
    assert one.entry == two.entry


def test_where_everything_is_right_nothing_is_inserted(model):
    x, _ = samples()
    plan = proposed(model, [(x, model(x).argmax(1))])
    assert plan.best is None
    assert {candidate.rejected for candidate in plan.candidates} == {"no sample is mis-predicted"}


VECTOR = {"x -> h": "linear", "h -> y": "linear"}
REFUSED = [
    (relus({"h": {**RELU, "activation": "selu"}, "y": {"size": 2}}, VECTOR), "'h' has activation 'selu', not 'relu'"),
    (relus({"h": RELU, "y": {"size": 2, "activation": "relu"}}, VECTOR), "'y' has activation 'relu', not 'identity'"),
    (relus({"h": {**RELU, "norm": "batch"}, "y": {"size": 2}}, VECTOR), "'h' has norm 'batch'"),
    (relus({"h": RELU, "y": {"size": 2}}, {**VECTOR, "x -> h": {"op": "linear", "bias": False}}), "has no bias"),
    (relus({"h": RELU, "y": {"size": 2}}, {**VECTOR, "x -> y": "linear"}), "'x' is read by 2 edges"),
    (relus({"y": {"size": 2}}, {"x -> y": "linear"}), "it has no hidden layer"),
    (
        relus({"h": RELU, "y": {"size": 2}}, {**VECTOR, "z -> h": "linear"}, {name: {"shape": [2]} for name in "xz"}),
        "it has 2 inputs and 1 outputs",
    ),
    (
        relus({"h": RELU, "y": {"size": 2}}, VECTOR, {"x": {"shape": [4, 2]}}),
        "x -> h is between values of shape [4, 2], not between vectors",
    ),
    (
        relus({"h": {"activation": "relu"}, "y": {"size": 2}}, {**VECTOR, "x -> h": "identity"}),
        "op 'identity' of x -> h has no weights",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "reason"), REFUSED)
def test_a_graph_that_is_no_relu_chain_is_refused(spec, reason):
    with pytest.raises(GrowthError) as error:
        proposed(dagrow.build(spec, seed=0).eval(), [])
    assert "method 'folding' needs a chain of linear edges with relu between them; in this graph " in str(error.value)
    assert reason in str(error.value)


def test_other_kinds_of_candidates_and_targets_are_refused(model):
    x, _ = samples()
    with pytest.raises(GrowthError, match=r"candidates must be \[widen\] or \[widen, layer\], not \[widen, edge\]"):
        proposed(model, [], candidates=("widen", "edge"))
    with pytest.raises(DataError, match="whole-number labels, one per sample"):
        dagrow.propose(model, functional.mse_loss, [(x, x)], method="folding")


def test_it_completes_tiny_where_that_finds_nothing(model):
    data, options = [samples()], {"fallback_method": "folding", "significance": 1e9}
    completed = dagrow.propose(model, functional.cross_entropy, data, **options).best
    assert completed.why.entry == proposed(model, data, **options).best.why.entry
    with pytest.raises(GrowthError, match="method 'folding' widens and deepens a chain"):
        dagrow.propose(model, functional.cross_entropy, data, candidates=("edge",), **options)


def test_a_need_that_nobody_knows_is_refused(model):
    name = "of_something_else"
    dagrow.register_method(name, Method(METHODS["random"].formula, needs=("chian",)))
    try:
        with pytest.raises(GrowthError, match="chian"):
            dagrow.propose(model, functional.cross_entropy, [samples()], method=name)
    finally:
        del METHODS[name]


def test_layers_are_compared_by_what_a_unit_of_fan_out_does(model):
    plan = proposed(model, [samples()])
    assert [candidate.selection_score for candidate in plan.candidates] == [c.why.reach**2 for c in plan.candidates]
    assert plan.candidates[0].selection_score > plan.candidates[1].selection_score > 0


def test_other_methods_are_not_asked_for_a_chain():
    spec = relus({"h": {**RELU, "activation": "selu"}, "y": {"size": 2}}, VECTOR)
    plan = dagrow.propose(dagrow.build(spec, seed=0).eval(), functional.cross_entropy, [samples()], method="random")
    assert all(candidate.why is None for candidate in plan.candidates)
