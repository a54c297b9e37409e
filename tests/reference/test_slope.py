"""The predicted slope of the loss at amplitude 0 against finite differences of real insertions."""

import itertools
from dataclasses import replace

import pytest
import torch
from reference_checks import collected
from reference_network import batches, graph, inputs_for, inserted, mean_loss, network, normal, squared
from tolerances import rounding
from torch.nn import functional

from dagrow.build.edge_weight import EdgeWeight
from dagrow.methods import METHODS, MethodRequest
from dagrow.planner import propose
from dagrow.statistics import IndexedBatches

SMOOTH = ("identity", "gelu", "silu", "tanh", "elu")
KINKED = ("relu", "leaky_relu", "selu")
BARE = {"op": "linear", "bias": False}
POOL = {"kind": "max", "kernel": 2}


def conv(**fields):
    return {"op": "conv2d", **fields}


def several(activation, norm="none"):
    """Two parents, two children, one above the other, and a skip around the node."""
    return graph(
        {"x": [4], "z": [3]},
        {
            "h": {"size": 2, "activation": activation, "norm": norm},
            "k": {"size": 3, "activation": "tanh"},
            "y": 2,
        },
        {
            "x->h": "linear",
            "z->h": BARE,
            "h->k": "linear",
            "h->y": "linear",
            "k->y": "linear",
            "z->y": "linear",
        },
    )


def simple(activation, **fields):
    nodes = {"h": {"size": 2, "activation": activation, **fields}, "y": 2}
    return graph({"x": [4]}, nodes, {"x->h": "linear", "h->y": "linear"})


def through_a_concat(concat, **hidden):
    return graph(
        {"x": [4]},
        {"h": {"size": 2, **hidden}, "k": 2, "c": {"merge": "concat", **concat}, "y": 2},
        {"x->h": "linear", "x->k": "linear", "h->c": "identity", "k->c": "identity", "c->y": "linear"},
    )


def maps(**hidden):
    nodes = {"h": {"size": 2, **hidden}, "k": {"size": 2, "activation": "tanh", "flatten": True}, "y": 2}
    edges = {"x->h": conv(padding=1), "h->k": conv(kernel=2, stride=2), "k->y": "linear"}
    return graph({"x": [2, 6, 6]}, nodes, edges)


GRAPHS = {
    **{act: simple(act) for act in (*SMOOTH, *KINKED)},
    **{f"several, {act}": several(act) for act in ("gelu", *KINKED)},
    "batch norm": several("relu", norm="batch"),
    "batch norm, tanh": simple("tanh", norm="batch"),
    "concat, then selu": through_a_concat({"activation": "selu"}, activation="tanh"),
    "relu, then a concat with gelu": through_a_concat({"activation": "gelu"}, activation="relu"),
    "batch norm behind a concat": through_a_concat({"norm": "batch", "activation": "tanh"}, activation="relu"),
    "batch norm before a concat": through_a_concat({"activation": "tanh"}, activation="relu", norm="batch"),
    "max pool": maps(activation="relu", pool=POOL),
    "max pool, selu": maps(activation="selu", pool=POOL),
    "max pool, tanh": maps(activation="tanh", pool=POOL),
    "average pool": maps(activation="leaky_relu", pool={"kind": "average", "kernel": 2}),
    "maps with batch norm": maps(activation="relu", norm="batch", pool=POOL),
    "upsampling": maps(activation="selu", pool={"kind": "upsample", "kernel": 2}),
    "transposed": graph(
        {"x": [2, 3, 3]},
        {"h": {"size": 2, "activation": "relu"}, "k": {"size": 2, "activation": "tanh", "flatten": True}, "y": 2},
        {
            "x->h": {"op": "conv_transpose2d", "bias": False},
            "h->k": {"op": "conv_transpose2d", "kernel": 3, "padding": 1, "output_padding": 1},
            "k->y": "linear",
        },
    ),
    "tokens": graph(
        {"x": [3, 4]},
        {"h": {"size": 2, "activation": "selu", "pool": "global_average"}, "y": 2},
        {"x->h": "linear", "h->y": "linear"},
    ),
    "flatten": graph(
        {"x": [2, 4, 4]},
        {"h": {"size": 2, "activation": "relu", "pool": POOL, "flatten": True}, "y": 2},
        {"x->h": conv(padding=1), "h->y": "linear"},
    ),
}


def setting(spec, train, samples=150):
    model = network(spec, seed=5)
    x = inputs_for(spec, samples, seed=6)
    with torch.no_grad():
        # Running statistics that are not those of a new network.
        for _ in range(3):
            model.train()(*x)
    first = x[0].flatten(1)
    y = torch.stack([first[:, 0] * first[:, 1] + first[:, 2], functional.relu(first[:, 3]) - first[:, 0]], 1)
    return model.train(train), batches(x, y + 0.1 * normal(samples, 2), [samples // 3, samples - samples // 3])


def finite_difference(model, loss, data, trial, power):
    """dL/dg at 0 from the losses after real insertions at g, g/4, g/16: Richardson in powers of g^power."""
    g = 1e-4 * trial.scaling.scale
    start = mean_loss(model, loss, data)
    steps = [g, g / 4**1, g / 4**2]
    quotients = [(mean_loss(inserted(model, trial.scaled(s)), loss, data) - start) / s for s in steps]
    r = 4**power
    once = [(r * b - a) / (r - 1) for a, b in itertools.pairwise(quotients)]
    return (4 * once[1] - once[0]) / 3 if power != 1 else (16 * once[1] - once[0]) / 15


def check(model, data, plan, loss=squared, power=0.5, tolerance=2e-4):
    checked = 0
    for candidate in plan.candidates:
        if candidate.trial is not None:
            slope = -finite_difference(model, loss, data, candidate.trial, power)
            assert candidate.slope == pytest.approx(slope, rel=tolerance), (candidate.kind, candidate.place)
            assert candidate.first_order_gain == pytest.approx(candidate.slope * candidate.amplitude)
            checked += 1
    return checked


@pytest.mark.share(0.24)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", GRAPHS)
def test_slope_of_new_neurons(name, train):
    model, data = setting(GRAPHS[name], train)
    plan = propose(model, squared, data, neurons=3, shrinkage=0, significance=0)
    assert check(model, data, plan) >= 1


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", ["several, selu", "batch norm", "max pool", "tokens", "batch norm behind a concat"])
def test_slope_of_updates(name, train):
    model, data = setting(GRAPHS[name], train)
    plan = propose(model, squared, data, candidates=["update"], shrinkage=0)
    assert check(model, data, plan, power=1) >= 2


@pytest.mark.parametrize("name", ["several, relu", "gelu", "batch norm", "flatten"])
def test_slope_of_neurons_with_updates(name):
    model, data = setting(GRAPHS[name], train=False)
    plan = propose(model, squared, data, neurons=2, shrinkage=0, significance=0, with_update=True)
    assert any(candidate.trial.change.updates for candidate in plan.candidates if candidate.trial)
    assert check(model, data, plan) >= 1


@pytest.mark.parametrize("name", ["several, selu", "max pool", "tanh"])
def test_slope_of_another_loss_with_shrinkage_and_held_out_samples(name):
    """The slope is over all samples, held out or not, of whatever loss."""
    model, data = setting(GRAPHS[name], train=False)
    labels = [(x, (y[:, 0] > 0).long()) for x, y in data]
    plan = propose(model, functional.cross_entropy, labels, neurons=2, candidates=["widen", "update"], significance=0)
    assert check(model, labels, plan, functional.cross_entropy) >= 2


@pytest.mark.parametrize("act", SMOOTH)
def test_slope_in_closed_form_where_the_activation_is_smooth(act):
    """act'(0) E<v_goal, V> with neurons at the method's own scale.

    Prop. 3.2.4 has sum lambda^2 = E<v_proj, V> here; what it leaves out is E<dW* B, V>, which is 0 only
    where V is orthogonal to the features that the child has, as in a linear network.
    """
    spec = simple(act)
    model, data = setting(spec, train=False)
    statistics = collected(model, squared, IndexedBatches(data, model), sites=["h"])
    moments = statistics.sites["h"]
    neurons = METHODS["tiny"](moments, MethodRequest(neurons=9, significance=0))
    (candidate,) = propose(model, squared, data, neurons=9, shrinkage=0, significance=0).candidates
    derivative = 0.5 if act in ("gelu", "silu") else 1.0
    inner = float((neurons.alpha.T @ moments.N_goal @ neurons.omega.T).trace())
    assert candidate.slope * candidate.trial.scaling.scale == pytest.approx(derivative * inner, rel=1e-9)
    squares = float(neurons.scores.square().sum())
    assert squares == pytest.approx(float((neurons.alpha.T @ moments.N_proj @ neurons.omega.T).trace()), rel=1e-9)
    if act == "identity":
        assert inner == pytest.approx(squares, rel=1e-9)


def test_no_slope_where_a_constant_comes_through():
    """softplus(0) is not 0: the loss moves with sqrt(g), and there is no slope to report."""
    for spec in (simple("softplus"), through_a_concat({"activation": "softplus"}, activation="tanh")):
        model, data = setting(spec, train=False)
        plan = propose(model, squared, data, nodes=["h"], neurons=2, shrinkage=0, significance=0)
        (candidate,) = plan.candidates
        assert candidate.slope is None
        assert candidate.first_order_gain is None


def test_softplus_behind_a_norm_has_a_slope():
    """With a norm the amplitude is on the fan-out alone, and the effect is proportional to it."""
    model, data = setting(simple("softplus", norm="batch"), train=False)
    plan = propose(model, squared, data, neurons=2, shrinkage=0, significance=0)
    assert check(model, data, plan, power=1) == 1


def test_the_slope_of_a_neuron_is_never_below_that_of_its_mirror_image():
    """(-alpha, -omega) is as good a neuron for the theory; where it is better in truth, it is taken."""
    for name in ("relu", "several, relu", "batch norm", "max pool", "relu, then a concat with gelu"):
        model, data = setting(GRAPHS[name], train=False)
        for candidate in propose(model, squared, data, neurons=1, shrinkage=0, significance=0).candidates:
            if candidate.trial is None or candidate.kind != "widen" or not candidate.neurons:
                continue
            change = candidate.trial.scaled(1e-9 * candidate.trial.scaling.scale)
            mirrored = _mirror(change)
            here = mean_loss(inserted(model, change), squared, data)
            there = mean_loss(inserted(model, mirrored), squared, data)
            assert here <= there + rounding(torch.float64, there)


def _mirror(change):
    features = change.features
    fan_in = {e: EdgeWeight(-w, None if b is None else -b) for e, (w, b) in features.fan_in.items()}
    fan_out = {e: -w for e, w in features.fan_out.items()}
    statistics = {n: (-mean, variance) for n, (mean, variance) in features.statistics.items()}
    return replace(change, features=replace(features, fan_in=fan_in, fan_out=fan_out, statistics=statistics))
