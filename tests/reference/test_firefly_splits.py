"""Splits behind norms and with pointwise fan-outs: worth what loops say, and made as they are promised."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from reference_checks import close, collected
from reference_network import batches, graph, inputs_for, inserted, mean_loss, network, normal, squared, stream
from reference_splits import CASES, EPS, with_norms, worth
from test_promised_gains import setting
from zoo import GROWING as ZOO
from zoo import node

from dagrow.graph import GrowableNode, site
from dagrow.methods import METHODS, MethodRequest
from dagrow.methods.firefly import EPSILON, TrustRegion
from dagrow.methods.modes import FixedScale
from dagrow.methods.moments import Neurons
from dagrow.planner import apply, propose
from dagrow.planner.evaluate import Evaluator
from dagrow.planner.kinds.existing import existing_neurons
from dagrow.planner.kinds.fixed_scale import bounded_trial
from dagrow.planner.scaling import SplitAtBound
from dagrow.spec.graph import EdgeId
from dagrow.statistics import ActivationCache, watched


def case(name, pointwise=False, train=False, samples=5):
    """A network, its data, what the output desires, and the method's view of it."""
    model = with_norms(network(CASES[name])).train(train)
    (x,) = inputs_for(model.spec, samples, seed=2)
    y = 3 * normal(samples, *model.dag.output("y"), seed=3)
    with torch.no_grad():
        v = (y - copy.deepcopy(model)(x)).flatten(2).tolist() if y.dim() > 2 else (y - copy.deepcopy(model)(x))
    v = v if isinstance(v, list) else v.unsqueeze(2).tolist()
    found = collected(model, squared, stream(model, (x,), y), sites=["h"], pointwise=pointwise)
    existing = existing_neurons(model, found.layouts["h"])
    moments = replace(found.sites["h"], existing=existing)
    return model, x, v, moments


@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("name", CASES)
def test_the_worth_of_a_split_is_what_loops_find(name, train):
    """With the norm's own numbers, or those of the samples in train mode; whatever new neurons may write."""
    for pointwise in (False, True) if "maps" in name else (False,):
        model, x, v, moments = case(name, pointwise, train)
        ball = TrustRegion.of(moments, moments.samples())
        W = 3 * normal(len(moments.S), 2, seed=4)
        W[:, 1] *= 0.1 / W[:, 1].norm()
        index = torch.tensor([1, 0])
        found = ball.split_worth(index, W)
        inside = W / W.norm(dim=0).clamp(min=1)
        steps = EPSILON * ball.radius * inside * ball.unit.unsqueeze(1)
        for k, j in enumerate(index.tolist()):
            expected = worth(model, x, v, j, steps[:, k].tolist(), train)
            assert float(found[k]) == pytest.approx(expected, rel=1e-8, abs=1e-14)
            assert expected != 0


@pytest.mark.parametrize("name", ["cap norm", "maps, no norm", "norm behind a flat concat"])
def test_chosen_splits_are_worth_their_scores_and_keep_the_bound(name):
    for pointwise in (False, True) if "maps" in name else (False,):
        model, x, v, moments = case(name, pointwise)
        neurons = METHODS["firefly"](moments, MethodRequest(neurons=99))
        ball = TrustRegion.of(moments, moments.samples())
        chosen = [k for k, j in enumerate(neurons.mode.parents.tolist()) if j >= 0]
        assert chosen
        for k in chosen:
            step = neurons.alpha[:, k]
            assert float((step / ball.unit).norm()) <= EPSILON * ball.radius * (1 + 1e-12)
            expected = worth(model, x, v, int(neurons.mode.parents[k]), step.tolist(), train=False)
            assert float(neurons.scores[k]) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("name", ["batch norm", "norm behind a flat concat", "maps, batch norm, pool"])
def test_the_slope_of_what_is_optimised_is_that_of_the_worth(name):
    """By finite differences."""
    _, _, _, moments = case(name)
    ball, index = TrustRegion.of(moments, moments.samples()), torch.tensor([1])
    W, towards = (normal(len(moments.S), 1, seed=seed) for seed in (4, 5))
    W = (W / W.norm() / 2).requires_grad_()
    (slope,) = torch.autograd.grad(ball.split_worth(index, W).sum(), W)
    h = 1e-6
    up, down = (float(ball.split_worth(index, W.detach() + sign * h * towards)) for sign in (1.0, -1.0))
    assert (up - down) / (2 * h) == pytest.approx(float((slope * towards).sum()), rel=1e-5)


def place(model, node, data, pointwise):
    """The layout of a place, its moments with the neurons that are there, and what measures it."""
    (x, y), growing = data[0], site(model.dag, node)
    found = collected(model, squared, stream(model, x, y), sites=[node], pointwise=pointwise)
    layout = found.layouts[node]
    moments = replace(found.sites[node], existing=existing_neurons(model, layout))
    return (
        layout,
        moments,
        Evaluator(ActivationCache(model, squared, stream(model, x, y), watched((), [growing]), [node])),
    )


NORMED = [name for name in ZOO if any(entry.norm in EPS for entry in ZOO[name].nodes.values())]


@pytest.mark.share(0.24)
@pytest.mark.parametrize(("name", "train"), [*((name, False) for name in ZOO), *((name, True) for name in NORMED)])
def test_what_is_made_and_what_is_tried_are_one_function(name, train):
    """With a new neuron beside; a step of no length changes nothing, and copies have the norm of their originals."""
    model, data = setting(ZOO[name], samples=30)
    with_norms(model)
    sides = ("h", "k") if name in NORMED else ("h",)
    growing = [own for own in sides if isinstance(site(model.dag, own), GrowableNode)]
    for own, pointwise in itertools.product(growing, (False, True) if model.dag.merged("h")[1:] else (False,)):
        layout, _, evaluator = place(model, own, data, pointwise)
        size = model.dag.size(own)
        splits = torch.tensor([0, -1, size - 1][: size + 1])
        steps = 0.3 * normal(layout.feature_count - (not layout.has_bias), len(splits), seed=4)
        omega = normal(len(splits), sum(layout.fan_out(r) * layout.outputs(r) for r in layout.site.readings), seed=5)
        for factor in (1.0, 0.0):
            # Nothing changes where the neuron of its own writes nothing either.
            scores = torch.ones(len(splits)).double()
            neurons = Neurons(factor * steps, factor * omega, scores, mode=FixedScale(splits))
            trial = evaluator.with_norm_statistics(bounded_trial(model, layout, neurons))
            made, tried = inserted(model, trial.scaled(1.0)), inserted(model, trial.change)
            assert (made.dag.size(own), tried.dag.size(own)) == (size + len(splits), size + 2 * len(splits) - 1)
            for x, _ in data:
                for other in (tried,) if factor else (tried, model):
                    one, two = (copy.deepcopy(each).train(train)(*x) for each in (made, other))
                    torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)
            originals, copies = [0, size - 1][:size], [size, -1][:size]
            for key, old in model.state_dict().items():
                new = made.state_dict()[key]
                if key.startswith(f"{own}.norm.") and old.dim():
                    assert torch.equal(new[:size], old)
                    assert torch.equal(new[copies], old[originals])
                elif key.startswith(f"{own}.from_"):
                    # Every step of the original is the copy's turned round.
                    op = model.dag.op(EdgeId(key.split(".")[1].removeprefix("from_"), own))
                    new, old = (op.to_layer_layout(each) if each.dim() > 1 else each for each in (new, old))
                    torch.testing.assert_close(new[copies] + new[originals], 2 * old[originals])


@pytest.mark.parametrize("name", ["batch norm", "cap norm", "maps, batch norm, pool", "norm behind a flat concat"])
def test_scores_of_splits_add_up_to_the_slope_of_the_real_loss(name):
    """Where all samples are drawn, and splits are alone: new neurons have a norm of their own samples."""
    model = with_norms(network(CASES[name])).eval()
    (x,) = inputs_for(model.spec, 30, seed=2)
    data = batches((x,), normal(30, *model.dag.output("y"), seed=3), [30])
    layout, moments, evaluator = place(model, "h", data, pointwise=True)
    neurons = METHODS["firefly"](moments, MethodRequest(neurons=99))
    own = (neurons.mode.parents >= 0).nonzero().squeeze(1)
    assert len(own) > 0
    neurons = replace(
        neurons, alpha=neurons.alpha[:, own], omega=neurons.omega[own], scores=neurons.scores[own],
        mode=FixedScale(neurons.mode.parents[own]),
    )  # fmt: skip
    (found,) = evaluator.orient([evaluator.with_norm_statistics(bounded_trial(model, layout, neurons))])
    assert found.slope == pytest.approx(float(neurons.scores.sum()), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "train", "fan_out"),
    [
        ("batch norm", False, "full"),
        ("batch norm", True, "full"),
        ("batch norm behind a concat", False, "full"),
        ("convolution, global average", False, "pointwise"),
        ("convolution, global average", True, "full"),
        ("down and up again", False, "pointwise"),
    ],
)
def test_the_promised_gain_of_splits_is_the_drop_of_the_loss(name, train, fan_out):
    """With an optimizer whose state goes along."""
    model, data = setting(ZOO[name], samples=30)
    with_norms(model).train(train)
    options = {"neurons": 16, "shrinkage": 0, "significance": 0, "fan_out": fan_out, "nodes": ["h", "k"]}
    plan = propose(model, squared, data, method="firefly", **options)
    split = [c for c in plan.candidates if not c.rejected and isinstance(c.trial.scaling, SplitAtBound)]
    assert split
    before = mean_loss(copy.deepcopy(model), squared, data)
    for candidate in split:
        grown = copy.deepcopy(model)
        optimizer = torch.optim.Adam(grown.parameters(), lr=1e-3)
        for parameter in grown.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        apply(grown, candidate, optimizer)
        assert all(optimizer.state[p]["exp_avg"].shape == p.shape for p in grown.parameters())
        assert before - mean_loss(grown, squared, data) == pytest.approx(candidate.gain, rel=1e-7)


@pytest.mark.parametrize("norm", ["none", "batch", "cap_batch"])
def test_splits_are_chosen_where_they_pay(norm):
    """A mean of two tanh units that a teacher has apart, behind a norm or not."""
    nodes = {"h": node(1, "tanh", norm=norm), "y": 1}
    model = network(graph({"x": [2]}, nodes, {"x->h": "linear", "h->y": "linear"}))
    x = normal(200, 2, seed=1)
    with torch.no_grad():
        model.h.from_x.weight.copy_(torch.tensor([[1.0, 0.0]]))
        model.y.from_h.weight.fill_(20.0)
    y = 10 * sum(torch.tanh(x @ torch.tensor([[1.0], [way]]).double()) for way in (2.0, -2.0))
    (best,) = propose(
        model.eval(), squared, batches((x,), y, [200]), method="firefly", neurons=200, shrinkage=0, significance=0
    ).candidates
    assert isinstance(best.trial.scaling, SplitAtBound)
    assert "neuron 0 is split" in str(best.why)


def test_pointwise_new_neurons_write_centres_and_splits_the_whole_kernel():
    model = network(CASES["maps, no norm"])
    (x,) = inputs_for(model.spec, 30, seed=2)
    data = batches((x,), normal(30, 2, 4, 3, seed=3), [30])
    options = {"neurons": 99, "shrinkage": 0, "significance": 0, "fan_out": "pointwise"}
    (best,) = propose(model, squared, data, method="firefly", **options).candidates
    old = model.y.from_h.weight.detach().clone()
    apply(model, best)
    kernel = model.y.from_h.weight.detach()[:, 2:]
    whole = kernel.flatten(2).count_nonzero(dim=2).sum(0)
    halves = [k for k in range(kernel.shape[1]) if int(whole[k]) > 2]
    assert len(halves) == len(best.why.neurons) > 0
    for k in halves:
        assert any(torch.equal(kernel[:, k], old[:, j] / 2) for j in best.why.neurons)


def test_units_of_what_a_norm_undoes_change_no_choice():
    """Features of 1e4 behind a norm that knows of it, in float32: rounding is judged behind the norm."""
    found = []
    for unit in (1.0, 1e4):
        model = with_norms(network(CASES["batch norm"], dtype=torch.float32)).eval()
        with torch.no_grad():
            for key, power in (
                ("from_x.weight", 1),
                ("from_x.bias", 1),
                ("norm.running_mean", 1),
                ("norm.running_var", 2),
            ):
                model.state_dict()[f"h.{key}"].mul_(unit**power)
        (x,) = inputs_for(model.spec, 200, seed=2)
        x, y = x.float(), normal(200, 2, seed=3, dtype=torch.float32)
        moments = collected(model, squared, stream(model, (x,), y), sites=["h"])
        moments = replace(moments.sites["h"], existing=existing_neurons(model, moments.layouts["h"]))
        neurons = METHODS["firefly"](moments, MethodRequest(neurons=99))
        parents = neurons.mode.parents.tolist()
        splits = {j: float(score) for j, score in zip(parents, neurons.scores, strict=True) if j >= 0}
        found.append(dict(sorted(splits.items())))
    close(list(found[0]), list(found[1]))
    assert found[0]
    close(list(found[1].values()), list(found[0].values()), tolerance=1e-2)
