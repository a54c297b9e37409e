"""Decisions do not depend on the units of the loss, the targets or the inputs."""

import copy
import re

import pytest
import torch
from reference_checks import close, collected
from reference_network import batches, graph, inputs_for, network, normal, squared, stream

from dagrow.methods import METHODS, MethodRequest
from dagrow.planner import apply, propose

EXACT = {"shrinkage": 0}
WAYS = [
    EXACT,
    {**EXACT, "significance": 0},
    {**EXACT, "with_update": True},
    {"shrinkage": "auto", "keep_below_noise": False},
]


def layered(activation):
    nodes = {"h": {"size": 2, "activation": activation}, "k": {"size": 2, "activation": activation}, "y": 3}
    return graph({"x": [5]}, nodes, {"x->h": "linear", "h->k": "linear", "k->y": "linear", "h->y": "linear"})


def scenario(activation="relu"):
    graph_spec = layered(activation)
    (x,) = inputs_for(graph_spec, 200)
    y = torch.tanh(x @ normal(5, 3, seed=4)) + x[:, :3].abs()
    return network(graph_spec, seed=3), x, y


def rescaled(model, factor, *names):
    """A copy with some weights multiplied."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name.startswith(names):
                parameter *= factor
    return other


def plan_of(model, x, y, way, loss=squared, **options):
    options = {"candidates": ("widen", "update"), "neurons": 3, **options}
    return propose(model, loss, batches(x, y, [100, 100]), **options, **way)


def _words(reason):
    """A reason without its figures, which are in the unit of the loss."""
    return re.sub(r"[\d.e+-]+", "", reason)


def same_decisions(plan, other, factor):
    """The same places in the same order, as many neurons, the same shrinkage, gains in the new unit."""
    assert plan.best is not None
    assert other.loss == pytest.approx(factor * plan.loss, rel=1e-9)
    for one, two in zip(plan.candidates, other.candidates, strict=True):
        if one.trial is not None and one.trial.scaling.fan_in_fixed:
            # Found by ascent: rounding may lead to another of many optima; their units are tested by powers of two.
            assert two.gain == pytest.approx(factor * one.gain, rel=0.2)
            continue
        decided = (one.kind, one.place, one.neurons, one.shrinkage, _words(one.rejected))
        assert decided == (two.kind, two.place, two.neurons, two.shrinkage, _words(two.rejected))
        assert two.gain == pytest.approx(factor * one.gain, rel=1e-6)


@pytest.mark.share(0.35)
@pytest.mark.parametrize("factor", [1e3, 1e-3])
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("activation", ["relu", "selu"])
def test_a_loss_in_another_unit(activation, way, factor):
    model, x, y = scenario(activation)
    plan = plan_of(model, x, y, way)
    same_decisions(plan, plan_of(model, x, y, way, lambda o, t: factor * squared(o, t)), factor)


CHAIN = graph({"x": [5]}, {"h": {"size": 2, "activation": "relu"}, "y": 3}, {"x->h": "linear", "h->y": "linear"})


@pytest.mark.parametrize("factor", [1e3, 1e-3, 7.0])
@pytest.mark.parametrize("options", [{"candidates": ["widen"]}, {"candidates": ["update"], "nodes": ["y"]}], ids=str)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_targets_in_another_unit(way, options, factor):
    """The last layer in another unit: v_goal times the factor, a squared loss times its square.

    Of a single hidden layer: desired updates of deeper nodes are in other units than those of the output.
    """
    _, x, y = scenario()
    model = network(CHAIN, seed=3)
    plan = plan_of(model, x, y, way, **options)
    same_decisions(plan, plan_of(rescaled(model, factor, "y."), x, factor * y, way, **options), factor**2)


@pytest.mark.share(0.24)
@pytest.mark.parametrize("factor", [1e3, 1e-3, 7.0])
@pytest.mark.parametrize("way", [*WAYS, {"shrinkage": 1.0}], ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_inputs_in_another_unit(activation, way, factor):
    """The first layer in another unit."""
    model, x, y = scenario(activation)
    other = rescaled(model, 1 / factor, "h.from_x.weight")
    torch.testing.assert_close(other(factor * x), model(x))
    same_decisions(plan_of(model, x, y, way), plan_of(other, factor * x, y, way), 1.0)


@pytest.mark.parametrize("factor", [1024.0, 2.0**-10])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("method", [name for name in METHODS if not name.startswith("folding")])
def test_no_method_hangs_on_the_unit_of_an_input(method, activation, factor):
    """One of two inputs in another unit, a part of it by way of a concat: a node reads them side by side."""
    nodes = {"c": {"merge": "concat"}, "h": {"size": 3, "activation": activation}, "y": 2}
    edges = {"x->c": "identity", "z->c": "identity", "c->h": "linear", "x->y": "linear", "h->y": "linear"}
    model = network(graph({"x": [4], "z": [3]}, nodes, edges), seed=1).eval()
    x, z = normal(150, 4, seed=2), 3 * normal(150, 3, seed=3) + 1
    y = torch.stack([x[:, 0] * z[:, 1], (x[:, 1] + z[:, 0]).abs()], 1)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.get_parameter("h.from_c.weight")[:, :4] /= factor
        other.get_parameter("y.from_x.weight").div_(factor)
    found = []
    for m, unit in ((model, 1.0), (other, factor)):
        options = {"neurons": 2, "shrinkage": 0.3, "significance": 0, "nodes": ["h"], "copy_noise": 0.1}
        best = propose(m, squared, [((unit * x, z), y)], method=method, **options).best
        if best is not None:
            apply(m, best)
        found.append((best, m(unit * x, z)))
    (one, out), (two, same) = found
    if one is None:
        # Of random neurons none may gain.
        assert two is None
        assert method == "random"
        return
    assert one.neurons == two.neurons
    assert two.gain == pytest.approx(one.gain, rel=1e-5, abs=1e-9)
    torch.testing.assert_close(same, out, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("activation", ["relu", "selu"])
def test_neurons_follow_the_unit_of_the_inputs(activation):
    model, x, y = scenario(activation)
    found = []
    for m, data in ((model, x), (rescaled(model, 1e-3, "h.from_x.weight"), 1e3 * x)):
        moments = collected(m, squared, stream(m, (data,), y), sites=["h"]).sites["h"]
        found.append(METHODS["tiny"](moments, MethodRequest(neurons=3)))
    one, other = found
    assert one.count > 0
    close(other.scores, one.scores)
    close(other.alpha[:-1] * 1e3, one.alpha[:-1], tolerance=1e-7)
    close(other.alpha[-1], one.alpha[-1], tolerance=1e-7)
    close(other.omega, one.omega, tolerance=1e-7)
