"""Folding, against autograd, brute force and the slides' own claims (J. Kang 2025: Lemmas 1-5, Theorems 3-5)."""

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from tolerances import assert_same_function
from torch.nn import functional

from dagrow.contrib.folding import Fold, LabelledPredictions, ReluChain, Within, fold
from dagrow.contrib.folding.fold_point import closest_point
from dagrow.contrib.folding.representative_error import CLUSTERS, typical

WIDTHS = [(2, 2, 2), (2, 3, 2), (3, 5, 4), (2, 4, 3, 2), (5, 4, 6, 4, 3)]
seeds = st.integers(0, 10**6)
widths = st.sampled_from(WIDTHS)


def chain_of(sizes, seed):
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    pairs = list(zip(sizes[1:], sizes, strict=False))
    return ReluChain(tuple(draw(o, i) for o, i in pairs), tuple(draw(o) / 2 for o, _ in pairs))


def judged_by(chain, seed, samples=12):
    """Points with random labels, so that many are mis-predicted."""
    g = torch.Generator().manual_seed(seed + 1)
    x = torch.randn(samples, chain.weights[0].shape[1], generator=g, dtype=torch.float64)
    target = torch.randint(len(chain.biases[-1]), (samples,), generator=g)
    loss = functional.cross_entropy(chain(x), target, reduction="none")
    return LabelledPredictions(x, loss, chain(x).argmax(1), target, torch.arange(samples))


def found(sizes, seed, layer=0):
    chain = chain_of(sizes, seed)
    result = fold(chain, judged_by(chain, seed), layer, seed)
    assume(isinstance(result, Fold))
    return chain, result


def widened(chain, new, fan_out=None):
    """The chain with the new neuron in it."""
    fan_out = new.fan_out if fan_out is None else fan_out
    weights, biases = list(chain.weights), list(chain.biases)
    weights[new.layer] = torch.cat([weights[new.layer], new.fan_in[None, :-1]])
    biases[new.layer] = torch.cat([biases[new.layer], new.fan_in[-1:]])
    weights[new.layer + 1] = torch.cat([weights[new.layer + 1], fan_out[:, None]], dim=1)
    return ReluChain(tuple(weights), tuple(biases))


def preactivation(chain, new, x):
    return chain.read(x, new.layer) @ new.fan_in[:-1] + new.fan_in[-1]


def near(a, b, scale=1.0):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10 * scale)


@given(widths, seeds)
@settings(max_examples=12, deadline=None)
def test_the_segment_is_the_network_there(sizes, seed):
    chain = chain_of(sizes, seed)
    for x in judged_by(chain, seed, 3).x:
        segment = chain.segment(x)
        near(segment.weight, torch.autograd.functional.jacobian(chain, x))
        near(segment.weight @ x + segment.bias, chain(x))
        for layer in range(chain.hidden + 1):
            weight, bias = chain.local(x, layer)
            near(weight @ x + bias, chain.read(x, layer))


@given(widths, seeds)
@settings(max_examples=12, deadline=None)
def test_boundaries_are_differences_of_rows_of_the_segments(sizes, seed):
    chain = chain_of(sizes, seed)
    samples = judged_by(chain, seed, 6)
    w, b = chain.boundaries(samples.x, samples.predicted, samples.target)
    for n, x in enumerate(samples.x):
        segment, i, j = chain.segment(x), samples.predicted[n], samples.target[n]
        near(w[n], segment.weight[i] - segment.weight[j])
        near(b[n], segment.bias[i] - segment.bias[j])


@given(st.integers(1, 6), seeds)
@settings(max_examples=12, deadline=None)
def test_no_point_of_the_boundary_is_nearer_than_the_closest_point(dims, seed):
    g = torch.Generator().manual_seed(seed)
    x, normal = torch.randn(2, dims, generator=g, dtype=torch.float64)
    offset = torch.randn((), generator=g, dtype=torch.float64)
    nearest = closest_point(x, normal, offset)
    near(normal @ nearest + offset, torch.zeros((), dtype=torch.float64))
    # Points of the hyperplane: any point, moved along the axis in which the normal is largest until it lies there.
    axis = int(normal.abs().argmax())
    others = x + torch.randn(4000, dims, generator=g, dtype=torch.float64)
    others[:, axis] -= (others @ normal + offset) / normal[axis]
    near(others @ normal + offset, torch.zeros(4000, dtype=torch.float64), scale=100.0)
    assert float((others - x).norm(dim=1).min()) >= float((nearest - x).norm()) * (1 - 1e-12)


def test_the_closest_point_is_the_one_a_fine_search_finds():
    x, normal, offset = torch.tensor([0.3, -0.2]), torch.tensor([2.0, 1.0]), 1.0
    across = torch.linspace(-2, 2, 400_001)
    line = torch.stack([across, -(offset + normal[0] * across) / normal[1]], dim=1)
    best = line[(line - x).square().sum(1).argmin()]
    torch.testing.assert_close(closest_point(x, normal, offset), best, atol=2e-4, rtol=0)


@given(widths, seeds, st.data())
@settings(max_examples=12, deadline=None)
def test_a_fold_is_what_it_says(sizes, seed, data):
    layer = data.draw(st.integers(0, len(sizes) - 3))
    chain, new = found(sizes, seed, layer)
    samples = judged_by(chain, seed)
    assert samples.predicted[new.sample] == new.predicted != new.target == samples.target[new.sample]
    assert torch.equal(new.instance, samples.x[new.sample])
    # The fold point: on the boundary of the instance's segment.
    row = new.segment.weight[new.predicted] - new.segment.weight[new.target]
    gap = new.segment.bias[new.predicted] - new.segment.bias[new.target]
    size = float(row.norm() * new.instance.norm() + gap.abs())
    assert abs(float(row @ new.point + gap)) < 1e-11 * size
    if new.within is not Within.BEYOND:
        both = chain(new.point)[[new.predicted, new.target]]
        near(both[0], both[1], scale=float(both.abs().max()) + 1)
    # The crease: through the fold point, whatever lies between inputs and layer; the neuron is on at the instance.
    scale = float(new.fan_in.norm() * (1 + chain.read(new.point, layer).norm()))
    assert abs(float(preactivation(chain, new, new.point))) < 1e-12 * scale
    assert float(preactivation(chain, new, new.instance)) > 0
    weight, bias = new.crease
    assert abs(float(weight @ new.point + bias)) < 1e-11 * scale
    jacobian = torch.autograd.functional.jacobian(lambda x: preactivation(chain, new, x), new.point)
    near(weight, jacobian, scale)


@given(widths, seeds)
@settings(max_examples=12, deadline=None)
def test_the_new_direction_is_from_the_fold_point_to_the_instance(sizes, seed):
    chain, new = found(sizes, seed)
    cosine = functional.cosine_similarity(new.fan_in[:-1], new.instance - new.point, dim=0)
    assert float(cosine) == pytest.approx(1.0, abs=1e-9)
    assert float(new.fan_in[:-1].norm()) == pytest.approx(float(chain.weights[0].norm(dim=1).square().mean().sqrt()))


@given(widths, seeds, st.data())
@settings(max_examples=12, deadline=None)
def test_the_fan_out_raises_the_right_class_over_the_predicted(sizes, seed, data):
    layer = data.draw(st.integers(0, len(sizes) - 3))
    chain, new = found(sizes, seed, layer)
    before = chain(new.instance)
    length = new.fan_out.norm()
    # So small a step that no unit switches.
    step = 1e-7 / float(preactivation(chain, new, new.instance))
    after = widened(chain, new, new.fan_out / length * step)(new.instance)
    rise = (after - before)[new.target] - (after - before)[new.predicted]
    assert float(rise) > 0
    assume(widened(chain, new, new.fan_out / length * step).segment(new.instance).name.count("1") > 0)
    assert float(rise / step) == pytest.approx(new.reach, rel=1e-4)


# What the slides claim.


@given(st.integers(3, 6), seeds)
@settings(max_examples=12, deadline=None)
def test_lemma_1_only_in_the_span_of_normal_and_direction_is_a_neuron_0_on_the_whole_crease(dims, seed):
    """The crease is where the boundary ``w x + b = 0`` meets ``u (x - x_f) = 0``, u orthogonal to w."""
    g = torch.Generator().manual_seed(seed)
    w, u, point, third = torch.randn(4, dims, generator=g, dtype=torch.float64)
    u = u - (u @ w) / (w @ w) * w
    basis = torch.linalg.qr(torch.stack([w, u, third, *torch.randn(dims, dims, generator=g).double()], 1)).Q
    crease = point + torch.randn(50, dims - 2, generator=g, dtype=torch.float64) @ basis[:, 2:dims].T
    near((crease - point) @ torch.stack([w, u], 1), torch.zeros(50, 2, dtype=torch.float64))
    a, b = torch.randn(2, generator=g, dtype=torch.float64)
    inside = a * w + b * u
    near(crease @ inside - inside @ point, torch.zeros(50, dtype=torch.float64))
    outside = inside + basis[:, 2]
    assert float((crease @ outside - outside @ point).abs().max()) > 1e-3


@given(widths, seeds)
@settings(max_examples=12, deadline=None)
def test_lemma_2_and_theorem_4_what_is_added_to_the_gradient_lies_along_instance_less_fold_point(sizes, seed):
    """For any network behind the first layer: ``dl/dx`` gains ``(w_B . dl/da) w_A`` where the neuron is on."""
    chain, new = found(sizes, seed)
    grown = widened(chain, new, torch.zeros_like(new.fan_out))
    x = new.instance.clone().requires_grad_()
    b = (x @ grown.weights[0].T + grown.biases[0]).relu()
    old = b[:-1] @ chain.weights[1].T + chain.biases[1]
    loud = (old + b[-1] * new.fan_out * 1e-9).detach().requires_grad_()
    rest = ReluChain(
        (torch.eye(len(loud), dtype=loud.dtype), *chain.weights[2:]), (chain.biases[1] * 0, *chain.biases[2:])
    )
    loss = functional.cross_entropy((rest(loud) if chain.hidden > 1 else loud)[None], torch.tensor([new.target]))
    (at_next,) = torch.autograd.grad(loss, loud)
    (through,) = torch.autograd.grad(b[-1] * new.fan_out @ at_next, x)
    near(through, (new.fan_out @ at_next) * new.fan_in[:-1])
    # Moving on from the fold point lowers the loss: the fan-out raises the right class.
    if len(sizes) == 3:
        assert float(through @ (new.point - new.instance)) > 0


@given(st.sampled_from(WIDTHS[:3]), seeds)
@settings(max_examples=12, deadline=None)
def test_theorem_3_and_lemma_3_the_network_folds_at_the_crease_and_nowhere_else(sizes, seed):
    """Shallow nets: beyond the crease the map is ``W + w_B w_A``, ``b + b_A w_B``; before it, what it was."""
    chain, new = found(sizes, seed)
    grown = widened(chain, new)
    for x in judged_by(chain, seed).x[:6]:
        on = float(preactivation(chain, new, x)) > 0
        before, after = chain.segment(x), grown.segment(x)
        near(after.weight, before.weight + on * torch.outer(new.fan_out, new.fan_in[:-1]))
        near(after.bias, before.bias + on * new.fan_in[-1] * new.fan_out)
        assert on == (float((x - new.point) @ new.fan_in[:-1]) > 0)


@given(st.sampled_from(WIDTHS[:3]), seeds, st.floats(1e-6, 1.0))
@settings(max_examples=12, deadline=None)
def test_lemma_4_the_segment_moves_in_proportion_to_the_fan_out(sizes, seed, size):
    chain, new = found(sizes, seed)
    before, after = chain.segment(new.instance), widened(chain, new, size * new.fan_out).segment(new.instance)
    moved = float((after.weight - before.weight).norm())
    assert moved == pytest.approx(size * float(new.fan_out.norm() * new.fan_in[:-1].norm()), rel=1e-6)


@given(widths, seeds, st.data())
@settings(max_examples=12, deadline=None)
def test_lemma_5_a_fan_out_of_0_gives_the_fan_in_no_gradient_and_a_small_one_does(sizes, seed, data):
    layer = data.draw(st.integers(0, len(sizes) - 3))
    chain, new = found(sizes, seed, layer)
    lengths = {}
    for size in (0.0, 1e-3):
        grown = widened(chain, new, size * new.fan_out)
        weight = grown.weights[layer].clone().requires_grad_()
        weights = (*grown.weights[:layer], weight, *grown.weights[layer + 1 :])
        out = replace(grown, weights=weights)(new.instance)
        (gradient,) = torch.autograd.grad(functional.cross_entropy(out[None], torch.tensor([new.target])), weight)
        lengths[size] = float(gradient[-1].norm())
    assert lengths[0.0] == 0.0
    if chain.read(new.instance, layer).norm() > 0:
        assert lengths[1e-3] > 0.0


@given(widths, seeds, st.data())
@settings(max_examples=12, deadline=None)
def test_with_fan_out_0_the_network_is_the_same(sizes, seed, data):
    layer = data.draw(st.integers(0, len(sizes) - 3))
    chain, new = found(sizes, seed, layer)
    x = judged_by(chain, seed).x
    grown = widened(chain, new, torch.zeros_like(new.fan_out))
    assert_same_function(grown(x), chain(x))


# The typical mis-predicted instance.


@given(seeds, st.integers(1, 40))
@settings(max_examples=12, deadline=None)
def test_the_typical_instance_is_the_one_that_loops_find(seed, samples):
    chain = chain_of((2, 3, 3), seed)
    of = judged_by(chain, seed, samples)
    wrong = [n for n in range(samples) if of.predicted[n] != of.target[n]]
    chosen = typical(of, torch.ones(samples, dtype=torch.bool), seed)
    if not wrong:
        assert chosen is None
        return
    means = KMeans(min(CLUSTERS, samples), n_init=1, random_state=seed).fit(of.x.numpy(), sample_weight=of.loss.numpy())
    losses, nearest = {}, {}
    for cluster, centre in enumerate(means.cluster_centers_):
        members = [n for n in range(samples) if means.labels_[n] == cluster]
        if set(members) & set(wrong):
            losses[cluster] = sum(float(of.loss[n]) for n in members) / len(members)
            distance = {n: sum((of.x[n].numpy() - centre) ** 2) for n in members if n in wrong}
            nearest[cluster] = min(distance, key=distance.get)
    assert chosen == nearest[max(losses, key=losses.get)]


def test_the_typical_instance_comes_from_the_group_that_costs_most():
    """Two groups of mistakes: one of many small ones, one of few dear ones."""
    g = torch.Generator().manual_seed(0)
    cheap = torch.randn(30, 2, generator=g).double() * 0.05 + torch.tensor([5.0, 5.0])
    dear = torch.randn(5, 2, generator=g).double() * 0.05 - torch.tensor([5.0, 5.0])
    loss = torch.cat([torch.full((30,), 0.8), torch.full((5,), 3.0)]).double()
    zeros, ones = torch.zeros(35, dtype=torch.long), torch.ones(35, dtype=torch.long)
    of = LabelledPredictions(torch.cat([cheap, dear]), loss, zeros, ones, torch.arange(35))
    assert typical(of, torch.ones(35, dtype=torch.bool), 0) >= 30
    # Those that may not be chosen are left out.
    assert typical(of, torch.arange(35) < 30, 0) < 30


@pytest.mark.parametrize("loss", [0.0, 1e-30, 1e30])
def test_losses_of_any_size_and_equal_samples_are_no_obstacle(loss):
    x = torch.zeros(5, 2, dtype=torch.float64)
    of = LabelledPredictions(
        x, torch.full((5,), loss).double(), torch.zeros(5).long(), torch.ones(5).long(), torch.arange(5)
    )
    assert typical(of, torch.ones(5, dtype=torch.bool), 0) == 0


def test_without_mistakes_or_with_a_dead_layer_there_is_no_fold():
    chain = chain_of((2, 3, 2), 0)
    samples = judged_by(chain, 0)
    assert fold(chain, replace(samples, target=samples.predicted), 0, 0) == "no sample is mis-predicted"
    dead = replace(chain, biases=(torch.full((3,), -1e6, dtype=torch.float64), chain.biases[1]))
    outputs = dead(samples.x)
    samples = replace(samples, predicted=outputs.argmax(1), target=1 - outputs.argmax(1))
    assert "all units of a layer are off" in fold(dead, samples, 0, 0)
