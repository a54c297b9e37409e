"""Firefly: what is optimised is what loops say, within its bound; and it does to the network what it says."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from reference_checks import close, collected
from reference_network import batches, graph, inserted, mean_loss, network, normal, squared, stream
from reference_samples import moments_of, sites
from test_promised_gains import setting
from zoo import GROWING as ZOO
from zoo import conv, node

from dagrow.graph import GrowableNode, cost, site
from dagrow.methods import METHODS, EdgeMoments, ExistingNeurons, FixedScale, MethodRequest, Neurons
from dagrow.methods.firefly import EPSILON, TrustRegion, firefly_edge
from dagrow.planner import apply, propose
from dagrow.planner.kinds.existing import existing_neurons
from dagrow.planner.kinds.fixed_scale import bounded_trial
from dagrow.statistics import SiteLayout

firefly = METHODS["firefly"]
ALL = ("widen", "edge", "node")


def wanted(samples):
    """The same samples, with desired updates of their own."""
    children = [
        replace(child, v_goal=child.v_proj + 0.3 * normal(*child.v_proj.shape, seed=40 + i))
        for i, child in enumerate(samples.children)
    ]
    return replace(samples, children=tuple(children))


SITES = {name: wanted(samples) for name, samples in sites().items()}


def site_of(name, neurons=3):
    """A site with some neurons in it."""
    samples = SITES[name]
    moments = moments_of(samples)
    alpha, omega = normal(samples.B.shape[2], neurons, seed=7), normal(neurons, moments.N_proj.shape[1], seed=8)
    existing = ExistingNeurons(alpha, omega)
    has_constant = bool((samples.B[..., -1] == 1).all())
    return samples, replace(moments, existing=existing, has_constant=has_constant)


def effect(samples, alpha, omega):
    """What neurons take off a linear loss, neuron by neuron, sample by sample, weight by weight."""
    n, found = len(samples.B), []
    for k in range(alpha.shape[1]):
        outputs = samples.activate(samples.B @ alpha[:, k : k + 1])
        total, at = 0.0, 0
        for child in samples.children:
            X = child.read(outputs)[:, :, 0].tolist()
            v = child.v_goal.tolist()
            fan_out, M = len(X[0][0]), len(v[0][0])
            weights = omega[k, at : at + fan_out * M].tolist()
            at += fan_out * M
            for i in range(n):
                for q in range(len(X[i])):
                    for o in range(fan_out):
                        for m in range(M):
                            total += v[i][q][m] * weights[o * M + m] * X[i][q][o] / n
        found.append(total)
    return found


def split_effect(samples, theta, step, omega):
    """The same of a split: both halves, less what was there."""
    parts = [effect(samples, theta + sign * step, omega) for sign in (1.0, -1.0, 0.0)]
    return [(a + b) / 2 - c for a, b, c in zip(*parts, strict=True)]


@pytest.mark.parametrize("name", SITES)
def test_scores_are_what_loops_find(name):
    """Of new neurons and of splits, each within its bound."""
    samples, moments = site_of(name)
    neurons = firefly(moments, MethodRequest(neurons=40))
    assert isinstance(neurons.mode, FixedScale)
    ball = TrustRegion.of(moments, samples)
    splits = torch.full((neurons.count,), -1) if neurons.mode.parents is None else neurons.mode.parents
    assert bool((splits < 0).any())
    assert neurons.scores.tolist() == sorted(neurons.scores.tolist(), reverse=True)
    lengths = (neurons.alpha / ball.unit.unsqueeze(1)).norm(dim=0)
    there = (moments.existing.alpha / ball.unit.unsqueeze(1)).norm(dim=0).mean()
    for k in range(neurons.count):
        alpha, omega, j = neurons.alpha[:, k : k + 1], neurons.omega[k : k + 1], int(splits[k])
        if j < 0:
            assert float(lengths[k]) <= float(there) * (1 + 1e-12)
            assert float(omega.norm()) == pytest.approx(EPSILON * float(moments.existing.fan_out.mean()))
            (expected,) = effect(samples, alpha, omega)
        else:
            assert float(lengths[k]) <= EPSILON * float(there) * (1 + 1e-12)
            theta, fan_out = moments.existing.alpha[:, j : j + 1], moments.existing.omega[j : j + 1]
            (expected,) = split_effect(samples, theta, alpha, fan_out)
        assert float(neurons.scores[k]) == pytest.approx(expected, rel=1e-9)
        assert expected > 0


def test_the_gradient_of_what_is_optimised_is_what_loops_find():
    """A tanh site with one child: by hand, for a new neuron and for a split, inside of the ball and on its shell."""
    samples, moments = site_of("no bias")
    ball = TrustRegion.of(moments, samples)
    B, v, n = samples.B[:, 0].tolist(), samples.children[0].v_goal[:, 0].tolist(), len(samples.B)
    F, M, unit = len(B[0]), len(v[0]), ball.unit.tolist()
    for length in (0.5, 1.0):
        w = normal(F, 1, seed=3)
        w = length * w / w.norm()
        alpha = [ball.radius * float(w[f, 0]) * unit[f] for f in range(F)]
        z = [sum(alpha[f] * b[f] for f in range(F)) for b in B]
        N = [sum(math.tanh(z[i]) * v[i][m] for i in range(n)) / n for m in range(M)]
        size = math.sqrt(sum(x * x for x in N))
        slope = [
            sum((1 - math.tanh(z[i]) ** 2) * B[i][f] * v[i][m] * N[m] / size for i in range(n) for m in range(M)) / n
            for f in range(F)
        ]
        W = w.clone().requires_grad_()
        value = ball.worth(W)
        assert value.item() == pytest.approx(size, rel=1e-12)
        (found,) = torch.autograd.grad(value.sum(), W)
        expected = torch.tensor([[slope[f] * ball.radius * unit[f]] for f in range(F)], dtype=torch.float64)
        close(along(found, w), along(expected, w))

        j = 1
        theta, omega = moments.existing.alpha[:, j].tolist(), moments.existing.omega[j].tolist()
        step = [EPSILON * ball.radius * float(w[f, 0]) * unit[f] for f in range(F)]
        total, slope = 0.0, [0.0] * F
        for i in range(n):
            middle, way = (sum(side[f] * B[i][f] for f in range(F)) for side in (theta, step))
            asked = sum(v[i][m] * omega[m] for m in range(M)) / n
            up, down = math.tanh(middle + way), math.tanh(middle - way)
            total += asked * ((up + down) / 2 - math.tanh(middle))
            for f in range(F):
                slope[f] += asked * ((1 - up**2) - (1 - down**2)) / 2 * B[i][f]
        W = w.clone().requires_grad_()
        value = ball.split_worth(torch.tensor([j]), W)
        assert value.item() == pytest.approx(total, rel=1e-9)
        (found,) = torch.autograd.grad(value.sum(), W)
        expected = torch.tensor([[slope[f] * EPSILON * ball.radius * unit[f]] for f in range(F)], dtype=torch.float64)
        close(along(found, w), along(expected, w), tolerance=1e-9)


def along(gradient, w):
    """On the shell, what leads out of the ball counts for nothing (torch's derivative there is one of two)."""
    return gradient if float(w.norm()) < 1 - 1e-9 else gradient - w * (w * gradient).sum() / (w * w).sum()


@pytest.mark.parametrize("name", SITES)
def test_few_steps_find_what_no_random_neuron_within_the_bound_does(name):
    samples, moments = site_of(name)
    ball, neurons = TrustRegion.of(moments, samples), firefly(moments, MethodRequest(neurons=1))
    drawn = normal(samples.B.shape[2], 2000, seed=5)
    best = EPSILON * ball.length * float(ball.worth(drawn / drawn.norm(dim=0)).max())
    assert float(neurons.scores[0]) > 0.97 * best


def test_a_neuron_is_split_once_and_new_ones_are_no_copies_of_each_other():
    samples, moments = site_of("triangle", neurons=6)
    neurons = firefly(moments, MethodRequest(neurons=200))
    chosen = [j for j in neurons.mode.parents.tolist() if j >= 0]
    assert len(chosen) == len(set(chosen)) > 0
    assert neurons.why.entry == {"split": sorted(chosen)}
    assert "split" in str(neurons.why)
    own = neurons.mode.parents < 0
    outputs = samples.activate(samples.B @ neurons.alpha[:, own]).flatten(0, 1)
    outputs, omega = outputs / outputs.norm(dim=0), neurons.omega[own]
    omega = omega / omega.norm(dim=1, keepdim=True)
    cosines = (outputs.T @ outputs) * (omega @ omega.T)
    assert float((cosines - torch.eye(len(cosines))).max()) < 0.951


def test_units_change_no_choice():
    """Of the features, and of the loss: powers of two, which do not round."""
    samples, moments = site_of("triangle")
    unit = torch.ones(samples.B.shape[2], 1, dtype=torch.float64)
    unit[:-1] = 2.0**10
    B = samples.B * unit.squeeze(1)
    children = tuple(replace(child, v_goal=2.0**-10 * child.v_goal) for child in samples.children)
    other = replace(samples, B=B, children=children)
    scaled = replace(
        moments, S=moments.S * unit * unit.T, samples=lambda: other,
        existing=replace(moments.existing, alpha=moments.existing.alpha / unit),
    )  # fmt: skip
    one, two = (firefly(m, MethodRequest(neurons=5)) for m in (moments, scaled))
    close(two.scores, 2.0**-10 * one.scores, tolerance=1e-6)
    close(two.alpha * unit, one.alpha, tolerance=1e-4)
    assert torch.equal(one.mode.parents, two.mode.parents) if one.mode.parents is not None else two.mode.parents is None


def test_nothing_to_gain_nothing_to_split_and_no_samples():
    samples, moments = site_of("triangle")
    flat = replace(samples, children=tuple(replace(c, v_goal=0 * c.v_goal) for c in samples.children))
    found = firefly(replace(moments, samples=lambda: flat), MethodRequest(neurons=3))
    assert (found.count, found.reason) == (0, "nothing within the bound lowers the loss")
    assert firefly(replace(moments, samples=None), MethodRequest(neurons=3)).count == 0
    assert firefly(moments, MethodRequest(neurons=0)).count == 0
    assert firefly(replace(moments, existing=None), MethodRequest(neurons=99)).mode.parents is None
    linear = replace(samples, activate=lambda z: z)
    # Both halves of a linear neuron together are the neuron.
    assert firefly(replace(moments, samples=lambda: linear), MethodRequest(neurons=99)).mode.parents is None


def test_the_same_seed_gives_the_same_neurons_and_the_global_generator_is_left_alone():
    _, moments = site_of("all kinds of children")
    state = torch.get_rng_state()
    one, two, other = (firefly(moments, MethodRequest(neurons=3, seed=seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.alpha, two.alpha)
    assert not torch.equal(one.alpha, other.alpha)


def test_weights_of_an_edge_are_the_steepest_within_the_bound():
    N = normal(4, 3, seed=1)
    moments = EdgeMoments(N, torch.tensor([1.0, 4, 9, 2]).double(), 5.0, 6.0, torch.float64)
    found = firefly_edge(moments, MethodRequest(neurons=1))
    length = float(found.weight.norm())
    assert length == pytest.approx(EPSILON * 6.0 / 4**0.5)
    assert float((found.weight * N.T).sum()) == pytest.approx(found.score)
    for seed in range(20):
        rival = normal(3, 4, seed=seed + 2)
        assert float((rival * length / rival.norm() * N.T).sum()) < found.score
    assert firefly_edge(replace(moments, N=0 * N), MethodRequest(neurons=1)) is None
    assert firefly_edge(replace(moments, N=1e-16 * N), MethodRequest(neurons=1)) is None


def proposed(model, data, candidates=ALL, **options):
    options = {"neurons": 3, "shrinkage": 0, "significance": 0, **options}
    return propose(model, squared, data, method="firefly", candidates=candidates, **options)


SOME = ("skip", "batch norm behind a concat", "convolution, pool, flatten")


@pytest.mark.share(0.24)
@pytest.mark.parametrize(("name", "train"), [*((name, False) for name in ZOO), *((name, True) for name in SOME)])
def test_promised_gain_is_the_drop_of_the_loss(name, train):
    """Of every place that gains; at amplitude 0, and silently, nothing changes."""
    model, data = setting(ZOO[name], samples=30)
    plan = proposed(model.train(train), data, ("widen", "edge") if name in SOME else ("widen",))
    found = [candidate for candidate in plan.candidates if not candidate.rejected]
    assert found
    before = mean_loss(model, squared, data)
    assert plan.loss == pytest.approx(before, rel=1e-9)
    for candidate in found:
        assert candidate.amplitude == 1.0
        grown = copy.deepcopy(model)
        apply(grown, candidate)
        assert before - mean_loss(grown, squared, data) == pytest.approx(candidate.gain, rel=1e-7)
        for change in (candidate.trial.scaled(0.0), candidate.trial.scaled(1.0, silent=True)):
            other = inserted(model, change)
            for x, _ in data:
                torch.testing.assert_close(copy.deepcopy(other)(*x), copy.deepcopy(model)(*x), rtol=1e-11, atol=1e-11)


@pytest.mark.share(0.35)
@pytest.mark.parametrize("name", ["mlp", "skip", "tokens", "two inputs, two outputs", "strides and dilation"])
def test_scores_add_up_to_the_slope_of_the_real_loss(name):
    """Where all samples are drawn: the loss is linear in what the children get, at first order."""
    model, data = setting(ZOO[name], samples=30)
    for candidate in proposed(model, data).candidates:
        if not candidate.rejected:
            assert candidate.slope == pytest.approx(sum(candidate.scores), rel=1e-6)


@pytest.mark.parametrize("name", ZOO)
def test_fan_outs_are_in_the_layout_of_the_moments(name):
    model = network(ZOO[name])
    for place in (site(model.dag, name) for name in model.dag.order):
        if not isinstance(place, GrowableNode):
            continue
        layout = SiteLayout(model.dag, place, pointwise=False)
        omega = existing_neurons(model, layout).omega
        for edge, columns in layout.split_fan_out(omega, torch.float64).items():
            op, stored = model.dag.op(edge), model.state_dict()[f"{edge.target}.from_{edge.source}.weight"]
            there = op.to_layer_layout(stored)
            if columns.shape == there.shape:
                torch.testing.assert_close(columns, there)
            else:
                flat = there.flatten(2) if there.dim() > 2 else there
                own = columns.flatten(2) if columns.dim() > 2 else columns
                assert any(
                    torch.equal(flat[:, at : at + own.shape[1]], own) for at in range(flat.shape[1] - own.shape[1] + 1)
                )


def test_a_split_by_hand():
    """One relu neuron: half of it on either side."""
    model = network(graph({"x": [2]}, {"h": node(1, "relu"), "y": 1}, {"x->h": "linear", "h->y": "linear"}))
    x, y = normal(30, 2, seed=1), normal(30, 1, seed=2)
    layout = collected(model, squared, stream(model, (x,), y), sites=["h"]).layouts["h"]
    step = torch.tensor([[0.5], [-0.2], [0.1]]).double()
    omega = existing_neurons(model, layout).omega
    neurons = Neurons(step, omega / 2, torch.ones(1).double(), mode=FixedScale(torch.tensor([0])))
    made = inserted(model, bounded_trial(model, layout, neurons).scaled(1.0))
    w, b = model.h.from_x.weight.detach(), model.h.from_x.bias.detach()
    u, c = model.y.from_h.weight.detach(), model.y.from_h.bias.detach()
    z, d = x @ w.T + b, x @ step[:2] + step[2]
    torch.testing.assert_close(made(x), (torch.relu(z + d) + torch.relu(z - d)) / 2 * u + c)


def test_new_fan_outs_and_edges_keep_the_bound_in_the_network():
    model, data = setting(ZOO["mlp"], samples=40)
    (best,) = proposed(model, data, ("widen",), nodes=["h"], neurons=2).candidates
    old = model.get_parameter("k.from_h.weight").detach()
    size = model.dag.size("h")
    apply(model, best)
    new = model.get_parameter("k.from_h.weight").detach()[:, size:]
    features, bound = best.trial.change.features.count, EPSILON * float(old.norm(dim=0).mean())
    own = [length for length in new.norm(dim=0).tolist() if length == pytest.approx(bound)]
    # A split is there as three: the copy, and the original after and before.
    assert 0 < len(own) == 2 * new.shape[1] - features


EDGES = {
    "linear": graph({"x": [5]}, {"h": node(2, "tanh"), "y": 3}, {"x->h": "linear", "h->y": "linear"}),
    "maps": graph(
        {"x": [2, 5, 5]},
        {"h": node(2, "tanh"), "y": node(3, pool="global_average")},
        {"x->h": conv(padding="same"), "h->y": conv(padding=1)},
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_new_edge_follows_the_gradient_of_its_own_weights(name):
    """Of an edge that is there with weights 0, torch knows the gradient; nothing else moves."""
    model, data = setting(EDGES[name], samples=40)
    (best,) = proposed(model, data, ("edge",)).candidates
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with_edge = inserted(model, best.trial.scaled(0.0))
    samples = sum(len(x[0]) for x, _ in data)
    sum(squared(with_edge(*x), y) * len(x[0]) / samples for x, y in data).backward()
    gradient = with_edge.get_parameter("y.from_x.weight").grad
    apply(model, best)
    weight = model.get_parameter("y.from_x.weight").detach()
    close(weight / weight.norm(), -gradient / gradient.norm(), tolerance=1e-8)
    assert float(gradient.norm() * weight.norm()) == pytest.approx(best.scores[0], rel=1e-8)
    assert best.slope == pytest.approx(best.scores[0], rel=1e-8)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    if name == "linear":
        h = torch.tanh(torch.cat([x[0] for x, _ in data]) @ before["h.from_x.weight"].T + before["h.from_x.bias"])
        written = (h.square().mean(0) * before["y.from_h.weight"].square()).sum().sqrt()
        rms = torch.cat([x[0] for x, _ in data]).square().mean().sqrt()
        assert float(weight.norm() * rms) == pytest.approx(EPSILON * float(written))


@pytest.mark.parametrize("name", ["skip", "convolution, pool, flatten"])
def test_plans_do_not_depend_on_the_split_into_batches(name):
    model, data = setting(ZOO[name], samples=30)
    x, y = tuple(torch.cat(parts) for parts in zip(*(x for x, _ in data), strict=True)), torch.cat([y for _, y in data])
    one, two = (proposed(model, batches(x, y, sizes), shrinkage="auto") for sizes in ([30], [1, 12, 17]))
    for a, b in zip(one.candidates, two.candidates, strict=True):
        assert (a.kind, a.place, a.neurons, bool(a.rejected)) == (b.kind, b.place, b.neurons, bool(b.rejected))
        assert a.gain == pytest.approx(b.gain, rel=1e-5)


def test_the_best_of_all_kinds_and_places_is_chosen_within_the_budget():
    model, data = setting(ZOO["skip"], samples=40)
    plan = proposed(model, data)
    kinds = {candidate.kind for candidate in plan.candidates if not candidate.rejected}
    assert kinds == set(ALL)
    gains = [candidate.gain for candidate in plan.candidates if not candidate.rejected]
    assert gains == sorted(gains, reverse=True)
    frugal = proposed(model, data, where="gain_per_parameter")
    each = [c.gain / c.cost.parameters for c in frugal.candidates if not c.rejected]
    assert each == sorted(each, reverse=True)
    now = cost(model.dag).parameters
    tight = proposed(model, data, max_parameters=now + 8)
    assert all(c.cost.parameters <= 8 for c in tight.candidates if not c.rejected)


def test_nothing_is_inserted_where_nothing_is_to_be_gained():
    model, data = setting(ZOO["mlp"], samples=40)
    done = [(x, model(*x).detach()) for x, _ in data]
    plan = proposed(model, done)
    assert plan.best is None
