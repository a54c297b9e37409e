"""The random control (thesis eq. 5.6), and what completes TINY where it finds nothing (thesis 3.3)."""

from dataclasses import replace

import pytest
import torch
from reference_network import batches, graph, inputs_for, network, normal, squared
from test_promised_gains import setting
from zoo import GROWING as ZOO
from zoo import node

from dagrow.methods import METHODS, Method, MethodRequest, Neurons, SiteMoments
from dagrow.planner import propose
from dagrow.planner.scaling import AtBound
from dagrow.planner.solve_candidates import SHRINKAGES


def moments(F=4, M=3, samples=50, scale=1.0, has_constant=True):
    B = scale * normal(samples, F, seed=1)
    if has_constant:
        B = torch.cat([B, torch.ones(samples, 1, dtype=B.dtype)], 1)
    S, N = B.T @ B / samples, B.T @ normal(samples, M, seed=2) / samples
    return SiteMoments(S, N, 0 * N, N, B.mean(0), 1.0, torch.float64, has_constant=has_constant)


@pytest.mark.parametrize("has_constant", [True, False])
def test_random_neurons_are_standard_normal_in_the_unit_of_the_features(has_constant):
    neurons = METHODS["random"](moments(has_constant=has_constant), MethodRequest(neurons=4000, seed=3))
    rms = float(moments().S.diagonal()[:4].mean().sqrt())
    assert (neurons.alpha[:4] * rms).std().item() == pytest.approx(1.0, rel=0.03)
    assert neurons.omega.std().item() == pytest.approx(1.0, rel=0.03)
    assert neurons.alpha.mean().item() == pytest.approx(0.0, abs=0.05)
    if has_constant:
        assert neurons.alpha[4].std().item() == pytest.approx(1.0, rel=0.05)


def test_the_unit_of_the_data_changes_no_random_neuron():
    for has_constant in (True, False):
        one, thousand = (
            METHODS["random"](moments(scale=scale, has_constant=has_constant), MethodRequest(neurons=5, seed=1))
            for scale in (1.0, 1000.0)
        )
        torch.testing.assert_close(one.alpha[:4], 1000 * thousand.alpha[:4])


@pytest.mark.parametrize("seed", range(6))
def test_a_random_direction_gains_whether_it_points_up_or_down(seed):
    """One smooth neuron: of the amplitudes on either side of 0, one lowers the loss."""
    model, data = setting(graph({"x": [5]}, {"h": node(1, "tanh"), "y": 1}, {"x->h": "linear", "h->y": "linear"}))
    best = propose(model, squared, data, method="random", neurons=1, seed=seed, shrinkage=0).best
    assert best is not None
    assert best.slope > 0


def triangle():
    """No linear neuron helps a node beside the edge that reads the same."""
    spec = graph({"x": [3]}, {"h": node(1), "y": 2}, {"x->h": "linear", "h->y": "linear", "x->y": "linear"})
    model, x = network(spec), inputs_for(spec, 200, seed=4)
    return model, batches(x, normal(200, 2, seed=5), [200])


def test_without_completion_tiny_leaves_it_at_that():
    model, data = triangle()
    plan = propose(model, squared, data, fallback_method="none", shrinkage=0)
    assert plan.best is None
    assert plan.candidates[0].rejected == "no singular value above the noise"


@pytest.mark.parametrize("completion", ["gradmax", "north_weights", "north_activations", "net2net"])
def test_tiny_is_completed_where_it_finds_nothing(completion):
    model, data = triangle()
    plan = propose(model, squared, data, fallback_method=completion, neurons=1)
    assert plan.best is not None
    assert plan.best.still


def test_tiny_is_completed_by_firefly():
    model, data = triangle()
    plan = propose(model, squared, data, fallback_method="firefly", neurons=1, shrinkage=0, significance=0)
    assert plan.best is None or isinstance(plan.best.trial.scaling, AtBound)
    assert "noise" not in plan.candidates[0].rejected


def test_tiny_is_completed_by_random_neurons():
    model, data = setting(ZOO["mlp"])
    found = METHODS["tiny"](
        replace(moments(), N_proj=0 * moments().N_proj), MethodRequest(2, fallback_method=METHODS["random"])
    )
    assert isinstance(found, Neurons)
    assert found.mode.allow_negative
    assert found.count == 2
    assert propose(model, squared, data, fallback_method="random", shrinkage=0).best.scores != (1.0, 1.0)


@pytest.mark.share(0.28)
@pytest.mark.parametrize("activation", ["tanh", "selu"])
@pytest.mark.parametrize("seed", range(4))
def test_tiny_is_completed_where_its_own_neurons_do_not_gain(seed, activation):
    """A product of two inputs: linear neurons pass the noise level now and then, and lower no loss."""
    spec = graph({"x": [2]}, {"h": node(1, activation), "y": 1}, {"x->h": "linear", "h->y": "linear"})
    model, x = network(spec, seed=seed).eval(), normal(600, 2, seed=seed)
    data = batches(x, x[:, :1] * x[:, 1:], [600])
    alone = propose(model, squared, data, neurons=2, fallback_method="none")
    plan = propose(model, squared, data, neurons=2)
    assert plan.best is not None
    assert plan.best.gain > 0.1 * plan.loss
    assert alone.best is None or plan.best.gain >= 0.9 * alone.best.gain


@pytest.mark.parametrize(("shrinkage", "tried"), [("auto", SHRINKAGES), (0.03, (0.03,))])
def test_searches_choose_among_the_larger_shrinkages(shrinkage, tried, monkeypatch):
    """They see few samples. The one that is given is left as it is."""
    spec = graph({"x": [6]}, {"y": 2}, {"x->y": "linear"})
    model, (x,) = network(spec), inputs_for(spec, 300, seed=4)
    data, seen = batches(x, torch.relu(x @ normal(6, 2, seed=5)), [300]), []
    search = METHODS["nonlinear"]

    def spy(found, request):
        seen.append(request.shrinkage)
        return search(found, request)

    monkeypatch.setitem(METHODS, "nonlinear", Method(spy))
    best = propose(model, squared, data, candidates=("node",), significance=0, shrinkage=shrinkage).best
    assert best is not None
    assert best.shrinkage in tried
    assert tuple(seen[-len(tried) :]) == tried
