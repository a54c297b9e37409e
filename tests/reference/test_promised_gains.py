"""What a plan promises is what the loss falls by, at every insertion of a growing network."""

import copy

import pytest
import torch
from reference_network import batches, graph, inputs_for, inserted, mean_loss, network, normal, squared
from torch.nn import functional
from zoo import GROWING as ZOO
from zoo import conv, node

from dagrow.planner import apply, propose


def setting(spec, dtype=torch.float64, samples=120, seed=1):
    """A network with non-trivial running statistics, and targets that bend."""
    model = network(spec, seed, dtype)
    x = inputs_for(spec, samples, seed=2)
    flat = torch.cat([part.flatten(1) for part in x], 1)
    targets = []
    for i, name in enumerate(spec.outputs):
        width = model.dag.output(name)[0]
        inner = flat @ normal(flat.shape[1], width, seed=3 + i) / flat.shape[1] ** 0.5
        targets.append((torch.sin(2 * inner) + inner.abs()).to(dtype))
    x = tuple(part.to(dtype) for part in x)
    with torch.no_grad():
        for _ in range(3):
            model.train()(*x)
    y = tuple(targets) if len(targets) > 1 else targets[0]
    return model.eval(), batches(x, y, [samples // 2, samples // 3, samples - samples // 2 - samples // 3])


def grow(model, data, place, tolerance, floor=0.0, times=3, **options):
    """Inserts at one place again and again; each drop of the loss must be the promised one."""
    inserted_any = 0
    for _ in range(times):
        plan = propose(model, squared, data, nodes=[place], neurons=2, significance=0, **options)
        before = mean_loss(model, squared, data)
        assert plan.loss == pytest.approx(before, rel=tolerance)
        if plan.best is None:
            break
        size = model.dag.size(place)
        apply(model, plan.best)
        assert model.dag.size(place) == size + plan.best.neurons
        drop = before - mean_loss(model, squared, data)
        if plan.best.gain > floor * before:
            assert drop == pytest.approx(plan.best.gain, rel=tolerance)
            inserted_any += 1
        else:
            assert drop == pytest.approx(plan.best.gain, abs=2e-6 * before)
    return inserted_any


@pytest.mark.share(0.24)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", ZOO)
def test_promised_gain_is_the_drop_of_the_loss(name, train):
    """Three times in a row at one place, with whatever method options, in float64."""
    for place, options in (("h", {"shrinkage": 0}), ("k", {"shrinkage": 0, "with_update": True})):
        model, data = setting(ZOO[name])
        fixed = {place.node for place in propose(model, squared, data, neurons=1, shrinkage=0).not_growable}
        if place not in fixed:
            assert grow(model.train(train), data, place, 1e-5, **options) >= 1


@pytest.mark.share(0.35)
@pytest.mark.parametrize("name", ZOO)
def test_promised_gain_in_float32(name):
    """Gains above a hundredth of the loss to 1e-4; smaller ones drown in the rounding of the loss."""
    model, data = setting(ZOO[name], torch.float32)
    assert grow(model, data, "h", 1e-4, floor=0.01, shrinkage=0) >= 1


@pytest.mark.share(0.35)
@pytest.mark.parametrize("name", ["skip", "convolution, pool, flatten", "batch norm"])
def test_promised_gain_with_held_out_samples(name):
    """With shrinkage and amplitude chosen on held-out samples the gain on all samples is still the drop."""
    model, data = setting(ZOO[name])
    assert grow(model, data, "h", 1e-5, shrinkage="auto") >= 1


@pytest.mark.parametrize("name", ["skip", "tokens", "convolution, global average"])
def test_promised_gain_of_updates(name):
    model, data = setting(ZOO[name])
    for _ in range(3):
        plan = propose(model, squared, data, candidates=["update"], shrinkage=1e-3)
        for candidate in plan.candidates:
            if candidate.trial is not None:
                drop = mean_loss(model, squared, data) - mean_loss(
                    inserted(model, candidate.trial.scaled(candidate.amplitude)), squared, data
                )
                assert drop == pytest.approx(candidate.gain, rel=1e-5)
        apply(model, plan.best)


def test_promised_gain_of_cross_entropy():
    model, data = setting(ZOO["skip"])
    labels = [(x, y.argmax(1)) for x, y in data]
    plan = propose(model, functional.cross_entropy, labels, neurons=3, shrinkage=0, significance=0)
    before = mean_loss(model, functional.cross_entropy, labels)
    assert plan.best.gain > 0.01 * before
    apply(model, plan.best)
    assert before - mean_loss(model, functional.cross_entropy, labels) == pytest.approx(plan.best.gain, rel=1e-5)


@pytest.mark.share(0.24)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", ZOO)
def test_amplitude_0_changes_nothing(name, train):
    model, data = setting(ZOO[name])
    plan = propose(model, squared, data, neurons=2, shrinkage=0, significance=0, candidates=["widen", "update"])
    model.train(train)
    trials = [candidate.trial for candidate in plan.candidates if candidate.trial is not None]
    assert len(trials) >= 2
    silent = [trial.scaled(trial.scaling.scale, silent=True) for trial in trials if trial.change.features is not None]
    for change in (*(trial.scaled(0.0) for trial in trials), *silent):
        other = inserted(model, change)
        for x, _ in data:
            torch.testing.assert_close(copy.deepcopy(other)(*x), copy.deepcopy(model)(*x), rtol=1e-12, atol=1e-12)


EXACT = {
    "linear": graph(
        {"x": [5]},
        {"h": node(2, "relu"), "k": node(2, "relu"), "y": 3},
        {"x->h": "linear", "h->k": "linear", "x->k": "linear", "k->y": "linear", "h->y": "linear"},
    ),
    "concat": graph(
        {"x": [5]},
        {"h": node(2, "relu"), "k": node(2), "c": {"merge": "concat", "activation": "relu"}, "y": 3},
        {"x->h": "linear", "x->k": "linear", "k->c": "identity", "h->c": "identity", "c->y": "linear"},
    ),
    "maps": graph(
        {"x": [2, 6, 6]},
        {"h": node(2, "relu", pool={"kind": "max"}), "k": node(2, "relu", flatten=True), "y": 3},
        {"x->h": conv(padding=1), "h->k": conv(kernel=2), "k->y": "linear"},
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_amplitude_0_is_exact_where_sums_are(name):
    """Small whole numbers: every sum is exact in any order, so the outputs must not differ by one bit."""
    model = network(EXACT[name], seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 20).round())
    x = tuple((3 * part).round() for part in inputs_for(model.spec, 60))
    data = batches(x, normal(60, 3, seed=5), [60])
    plan = propose(model, squared, data, neurons=2, shrinkage=0, significance=0)
    trials = [candidate.trial for candidate in plan.candidates if candidate.trial is not None]
    assert len(trials) >= 2
    for trial in trials:
        assert torch.equal(inserted(model, trial.scaled(0.0))(*x), model(*x))


FEEDING = graph(
    {"x": [5]},
    {"h": node(2, "tanh"), "a": node(3, "tanh"), "y": 2},
    {"x->h": "linear", "h->a": "linear", "h->y": "linear", "a->y": "linear", "x->y": "linear"},
)
CHAINED = graph({"x": [5]}, {"h": node(2, "tanh"), "y": 2}, {"x->h": "linear", "h->y": "linear"})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spec", [CHAINED, FEEDING], ids=["chain", "children that feed one another"])
def test_neurons_with_updates_gain_at_least_what_either_does(spec, seed):
    """At all children, edges from one of them to another included."""
    model, (x,) = network(spec, seed=seed).eval(), inputs_for(spec, 200, seed=seed)
    data = batches(x, torch.sin(2 * x @ normal(5, 2, seed=seed + 9)) + x[:, :2], [120, 80])
    options = {
        "neurons": 2,
        "shrinkage": 0.01,
        "significance": 0,
        "nodes": ["h"],
        "fallback_method": "none",
        "held_out": 0,
    }
    both = propose(model, squared, data, with_update=True, **options).best
    alone = propose(model, squared, data, **options).best
    assert both.gain >= alone.gain * (1 - 1e-9)
    updated = {edge for update in both.trial.scaled(1.0).updates for edge in update.weights}
    assert {str(edge) for edge in updated} == {
        CHAINED: {"h -> y"},
        FEEDING: {"h -> a", "h -> y", "x -> y", "a -> y"},
    }[spec]
    for update in both.trial.change.updates:
        only = propose(model, squared, data, **{**options, "nodes": [update.node]}, candidates=["update"]).best
        assert spec is FEEDING or both.gain >= only.gain * (1 - 1e-6)
    before = mean_loss(model, squared, data)
    apply(model, both)
    assert before - mean_loss(model, squared, data) == pytest.approx(both.gain, rel=1e-9)
