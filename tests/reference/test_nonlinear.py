"""Non-linear neurons: found where linear ones are empty, worth what they promise, and none made of noise."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_checks import close
from reference_network import normal
from reference_samples import left_with, linear_read, moments_of, removed, residual, sites, triangle, with_constant
from tolerances import rounding
from torch.nn import functional

from dagrow.methods import METHODS, ChildSamples, MethodRequest, Metric, SiteSamples
from dagrow.methods.initial_fan_ins import gaussian, main_directions
from dagrow.methods.modes import SearchedAmplitude, SearchedFanOut
from dagrow.methods.nonlinear import UPDATE_RIDGE
from dagrow.methods.residual_fit import ResidualFit

SITES = sites()
nonlinear = METHODS["nonlinear"]
ANY = {"significance": 0.0}


def bottleneck(samples):
    return sum(float(child.v_proj.double().square().sum()) for child in samples.children) / len(samples.B)


@pytest.mark.parametrize("name", SITES)
def test_they_remove_the_sum_of_squares(name):
    """With their own omega and updates, and no least-squares fit could do more with these fan-ins."""
    samples = SITES[name]
    neurons = nonlinear(moments_of(samples), MethodRequest(neurons=3, **ANY))
    assert neurons.count == 3
    assert isinstance(neurons.mode, SearchedFanOut)
    shapes = [(child.v_proj.shape[2], child.existing.shape[2]) for child in samples.children]
    assert [dW.shape for dW in neurons.mode.updates] == shapes
    promised = float(neurons.scores.square().sum())
    assert promised > 0.01 * bottleneck(samples)
    assert bottleneck(samples) - left_with(samples, neurons) == pytest.approx(promised, rel=1e-7)
    assert removed(samples, neurons.alpha) == pytest.approx(promised, rel=1e-7)
    for count in (1, 2):
        part = float(neurons.scores[:count].square().sum())
        assert removed(samples, neurons.alpha[:, :count]) == pytest.approx(part, rel=1e-7)


@pytest.mark.parametrize("name", SITES)
def test_no_random_direction_is_better(name):
    samples = SITES[name]
    neurons = nonlinear(moments_of(samples), MethodRequest(neurons=1, **ANY))
    own = ResidualFit.of(samples)
    gains = own.gains(samples.B @ (normal(samples.B.shape[2], 2000, seed=5) * normal(1, 2000, seed=6).exp()))
    assert float(neurons.scores[0]) ** 2 >= 0.99 * float(gains.max()) * own.size**2


def test_several_at_once_are_about_as_good_as_one_after_the_other():
    """Each pick looks at what the ones before it left: the second alone finds what the pair's second does."""
    x = normal(300, 6, seed=1)
    v = torch.relu(x @ normal(6, 4, seed=2) - 0.5) @ normal(4, 3, seed=3)
    pair = nonlinear(moments_of(triangle(x, v, torch.relu)), MethodRequest(neurons=2, **ANY))
    hidden = torch.cat([x, torch.relu(with_constant(x) @ pair.alpha[:, :1])], 1)
    then = triangle(x, v, torch.relu, with_constant(hidden))
    second = nonlinear(moments_of(then), MethodRequest(neurons=1, **ANY))
    assert float(pair.scores[1]) > 0.8 * float(second.scores[0])


@pytest.mark.share(0.35)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ["relu", "selu", "tanh", "gelu"])
def test_a_planted_neuron_is_found_behind_a_direct_edge(activation, dtype, seed):
    """The triangle: linear neurons are empty, and the teacher's direction is found all the same."""
    act = {"tanh": torch.tanh, **{name: getattr(functional, name) for name in ("relu", "selu", "gelu")}}[activation]
    mixed = normal(500, 12, seed=seed) @ normal(12, 12, seed=seed + 10) + normal(1, 12, seed=seed + 20)
    teacher = normal(12, 1, seed=seed + 30)
    z = (mixed - mixed.mean(0)) @ teacher
    z = 2 * z / z.std() + 0.5
    v = act(z) @ normal(1, 4, seed=seed + 40) + 0.1 * normal(500, 4, seed=seed + 50)
    samples = triangle(mixed.to(dtype), v.to(dtype), act)
    moments = moments_of(samples)
    assert float(moments.N_proj.abs().max()) < 1e-4 * float(v.abs().max())
    neurons = nonlinear(moments, MethodRequest(neurons=1, seed=seed))
    assert neurons.count == 1
    found = (mixed - mixed.mean(0)) @ neurons.alpha[:-1]
    cosine = float((found * (z - z.mean())).sum() / found.norm() / (z - z.mean()).norm())
    assert abs(cosine) > 0.95
    # Completed TINY: the same neurons where the linear ones are empty.
    completed = METHODS["tiny"](moments, MethodRequest(neurons=1, seed=seed))
    assert isinstance(completed.mode, SearchedFanOut)
    close(completed.alpha, neurons.alpha)


def test_tiny_keeps_its_linear_neurons_where_there_are_some():
    x = normal(200, 5, seed=1)
    v = x @ normal(5, 3, seed=2)
    samples = triangle(x, v, torch.relu, torch.ones(200, 1).double())
    neurons = METHODS["tiny"](moments_of(samples), MethodRequest(neurons=2))
    assert neurons.count == 2
    assert isinstance(neurons.mode, SearchedAmplitude)


def noise_of(kind, n, seed):
    """Desired updates that have nothing to do with the features, or only in their size."""
    x, v = normal(n, 20, seed=seed), normal(n, 5, seed=seed + 100)
    if kind == "classes":
        return x, functional.one_hot(v.argmax(1), 5).double() - 0.2
    if kind == "one sided":
        return x, v[:, :1].exp()
    return x, v * x[:, :1].exp() if kind == "larger in places" else v


@pytest.mark.share(0.35)
@pytest.mark.parametrize("kind", ["normal", "classes", "one sided", "larger in places"])
@pytest.mark.parametrize("activation", ["relu", "selu"])
def test_no_neuron_is_made_of_noise(activation, kind):
    """Of 10 seeds at most one may exceed its noise level."""
    act, kept = getattr(functional, activation), 0
    for seed in range(10):
        found = nonlinear(moments_of(triangle(*noise_of(kind, 400, seed), act)), MethodRequest(neurons=2, seed=seed))
        assert found.noise_level > 0
        kept += found.count > 0
    assert kept <= 1


def test_significance_scales_the_noise_level():
    x = normal(400, 8, seed=1)
    v = torch.relu(x[:, :3]) @ normal(3, 3, seed=2) + normal(400, 3, seed=3)
    moments = moments_of(triangle(x, v, torch.relu))
    counts = []
    for significance in (0.0, 0.5, 1.0, 2.0, 50.0):
        neurons = nonlinear(moments, MethodRequest(neurons=6, significance=significance))
        assert bool((neurons.scores > significance * neurons.noise_level).all())
        counts.append(neurons.count)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 6
    assert counts[-1] == 0


def in_units(samples, data, loss):
    """Features in another unit (the constant stays 1), and a loss in another."""
    unit = torch.ones(samples.B.shape[2]).double()
    unit[:-1] = data
    children = [
        replace(c, v_proj=loss * c.v_proj, existing=c.existing * (unit if c.existing.shape[2] == len(unit) else 1.0))
        for c in samples.children
    ]
    return SiteSamples(samples.B * unit, tuple(children), samples.activate)


@settings(max_examples=12)
@given(
    data=st.sampled_from([2.0**-10, 1.0, 2.0**10]), loss=st.sampled_from([2.0**-10, 2.0**10]),
    activation=st.sampled_from([torch.relu, torch.tanh]), name=st.sampled_from(["triangle", "tokens", "convolution"]),
)  # fmt: skip
def test_units_change_nothing(data, loss, activation, name):
    """By powers of two, which do not round: the search has many hills, and rounding may lead it up another."""
    one = replace(SITES[name], activate=activation)
    request = MethodRequest(neurons=3, shrinkage=0.1 if data == 1 else 0.0, significance=0.3)
    found, other = (nonlinear(moments_of(samples), request) for samples in (one, in_units(one, data, loss)))
    assert found.count == other.count
    close(other.scores, loss * found.scores)
    close(other.noise_level, loss * found.noise_level)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_units_of_a_thousand_change_no_decision(dtype):
    x = normal(400, 8, seed=1)
    v = torch.relu(x[:, :1] + 0.3) @ normal(1, 3, seed=2) + 0.1 * normal(400, 3, seed=3)
    one = triangle(x.to(dtype), v.to(dtype), torch.relu)
    expected = nonlinear(moments_of(one), MethodRequest(neurons=1))
    for data, loss in ((1e3, 1.0), (1e-3, 1.0), (1.0, 1e3), (1e-3, 1e-3)):
        samples = in_units(one, data, loss)
        samples = replace(samples, B=samples.B.to(dtype))
        samples = replace(samples, children=tuple(replace(c, existing=c.existing.to(dtype)) for c in samples.children))
        found = nonlinear(moments_of(samples), MethodRequest(neurons=1))
        assert found.count == expected.count == 1
        close(found.scores, loss * expected.scores, tolerance=1e-2)


def test_the_same_seed_gives_the_same_neurons_and_the_global_generator_is_left_alone():
    moments = moments_of(SITES["all kinds of children"])
    state = torch.get_rng_state()
    one, other = (nonlinear(moments, MethodRequest(neurons=3, seed=5, **ANY)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.alpha, other.alpha)
    assert torch.equal(one.omega, other.omega)


def test_dead_or_linear_activations_give_no_neurons():
    x, v = normal(60, 5, seed=1), normal(60, 3, seed=2)
    for dtype in (torch.float32, torch.float64):
        for act in (torch.zeros_like, lambda Z: Z, lambda Z: 3 * Z):
            samples = triangle(x.to(dtype), v.to(dtype), act)
            for significance in (0.0, 1.0):
                assert nonlinear(moments_of(samples), MethodRequest(neurons=2, significance=significance)).count == 0


def test_nothing_asked_nothing_to_read_and_nothing_to_gain():
    samples = SITES["triangle"]
    moments = moments_of(samples)
    assert nonlinear(moments, MethodRequest(neurons=0)).count == 0
    assert nonlinear(replace(moments, samples=None), MethodRequest(neurons=2)).count == 0
    still = replace(samples, children=tuple(replace(c, v_proj=0 * c.v_proj) for c in samples.children))
    assert nonlinear(moments_of(still), MethodRequest(neurons=2)).count == 0
    dead = replace(samples, B=0 * samples.B)
    assert nonlinear(moments_of(dead), MethodRequest(neurons=2)).count == 0


@settings(max_examples=25)
@given(
    samples=st.integers(1, 12), features=st.integers(1, 8), rank=st.integers(0, 8), outputs=st.integers(1, 3),
    activation=st.sampled_from([torch.relu, functional.selu]), biased=st.booleans(), seed=st.integers(0, 99),
    double=st.booleans(),
)  # fmt: skip
def test_few_samples_and_dependent_features(samples, features, rank, outputs, activation, biased, seed, double):
    """Always finite, and never more promised than there is."""
    x = normal(samples, rank, seed=seed) @ normal(rank, features, seed=seed + 1)
    v, existing = normal(samples, 1, outputs, seed=seed + 2), with_constant(x[:, :1]).unsqueeze(1)
    B = (with_constant(x) if biased else x).unsqueeze(1)
    dtype = torch.float64 if double else torch.float32
    child = ChildSamples(residual(v, existing).to(dtype), existing.to(dtype), linear_read)
    site = SiteSamples(B.to(dtype), (child,), activation)
    for significance in (0.0, 1.0):
        neurons = nonlinear(moments_of(site), MethodRequest(neurons=3, significance=significance))
        tensors = (neurons.alpha, neurons.omega, neurons.scores, *neurons.mode.updates)
        assert all(bool(t.isfinite().all()) for t in tensors)
        assert all(t.dtype == torch.float64 for t in tensors)
        promised, whole = float(neurons.scores.square().sum()), bottleneck(site)
        assert promised <= whole * (1 + 1e-4) + 1e-12
        if neurons.count:
            drop = whole - left_with(site, neurons)
            assert drop == pytest.approx(promised, rel=1e-2, abs=1e-3 * whole)


def test_duplicated_features_share_a_weight():
    x, v = normal(200, 4, seed=1), torch.relu(normal(200, 4, seed=1)[:, :1])
    one = nonlinear(moments_of(triangle(x, v, torch.relu)), MethodRequest(neurons=1))
    twice = torch.cat([x, x[:, :1], torch.zeros(200, 1).double()], 1)
    other = nonlinear(moments_of(triangle(twice, v, torch.relu)), MethodRequest(neurons=1))
    close(other.scores, one.scores, tolerance=1e-2)
    close(other.alpha[4], other.alpha[0], tolerance=1e-6)
    assert float(other.alpha[5].abs().max()) == 0


@pytest.mark.parametrize("rho", [0.01, 1.0, 100.0])
def test_with_a_linear_activation_shrinkage_is_that_of_tiny(rho):
    """Nothing but a constant exists and the activation is linear: the best fan-in is Prop. 3.2.3's in the shrunk S."""
    x = normal(200, 6, seed=1) * torch.tensor([3.0, 1.0, 0.3, 0.1, 1.0, 2.0]).double()
    v = x @ normal(6, 1, seed=2) @ normal(1, 4, seed=3) + 0.3 * normal(200, 4, seed=4)
    x, v = x - x.mean(0), v - v.mean(0)
    child = ChildSamples(v.unsqueeze(1), torch.ones(200, 1, 1).double(), linear_read)
    moments = moments_of(SiteSamples(x.unsqueeze(1), (child,), lambda Z: Z))
    neurons = nonlinear(moments, MethodRequest(neurons=1, shrinkage=rho, **ANY))
    metric = Metric(moments.S, rho)
    expected = metric.unwhiten(torch.linalg.svd(metric.whiten(moments.N_proj))[0][:, :1])
    cosine = float((neurons.alpha * expected).sum() / neurons.alpha.norm() / expected.norm())
    assert abs(cosine) > 0.999


def test_fan_in_and_fan_out_are_balanced_where_only_their_product_counts():
    moments = moments_of(SITES["triangle"])
    relu = nonlinear(moments, MethodRequest(neurons=3, **ANY))
    close((moments.lengths.unsqueeze(1) * relu.alpha).norm(dim=0), relu.omega.norm(dim=1))


@pytest.mark.parametrize("activation", [functional.selu, functional.elu])
def test_features_that_are_never_negative_hide_no_bend(activation):
    """Of pixels that are mostly 0, an activation shows one side only: taken for homogeneous, neurons were rescaled."""
    x = normal(300, 8, seed=1)
    x[:, :4] = (torch.arange(300).unsqueeze(1) % 60 == torch.arange(4)).double()
    samples = triangle(x, torch.relu(x @ normal(8, 4, seed=2)), activation)
    neurons = nonlinear(moments_of(samples), MethodRequest(neurons=2, **ANY))
    assert bottleneck(samples) - left_with(samples, neurons) == pytest.approx(float(neurons.scores.square().sum()))


def rare(n, seed):
    """Features most of which are seldom lit, and a desired update that bends along the others."""
    x = normal(n, 60, seed=seed)
    x[:, 10:] *= normal(n, 50, seed=seed + 1) > 2
    x = x + x[:, :1]
    return x, torch.relu(x[:, :10] @ normal(10, 3, seed=7)) + normal(n, 3, seed=seed + 2)


def test_the_update_that_goes_along_does_not_ruin_other_samples(monkeypatch):
    """What the neurons and their update remove of other samples' bottleneck, at their best amplitude."""
    x, v = rare(150, seed=1)
    others, wanted = (with_constant(part) if i == 0 else part for i, part in enumerate(rare(4000, seed=11)))
    linear = torch.linalg.lstsq(others, wanted).solution
    left, found = wanted - others @ linear, []
    for ridge in (0.0, UPDATE_RIDGE):
        monkeypatch.setattr("dagrow.methods.nonlinear.UPDATE_RIDGE", ridge)
        neurons = nonlinear(moments_of(triangle(x, v, torch.relu)), MethodRequest(neurons=3, shrinkage=1.0, **ANY))
        effect = torch.relu(others @ neurons.alpha) @ neurons.omega + others @ neurons.mode.updates[0].T
        amplitude = max(0.0, float((left * effect).sum() / effect.square().sum()))
        found.append(1 - float((left - amplitude * effect).square().sum() / left.square().sum()))
    assert found[1] > 1.2 * found[0]
    assert found[1] > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_search_starts_from_rounding(dtype):
    """Desired updates of classes sum to 0: beside their main directions there is one in which only rounding lies."""
    x = normal(300, 6, seed=1).to(dtype)
    v = (functional.one_hot((x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 1).long(), 3) - 1 / 3).to(dtype)
    eps = torch.finfo(dtype).eps
    found = []
    for seed in (2, 3):
        rounded = v * (1 + eps * normal(300, 3, seed=seed).to(dtype))
        found.append(main_directions(rounded.unsqueeze(0), gaussian(3, 3, torch.Generator().manual_seed(0)).to(v)))
    close(found[1], found[0], tolerance=rounding(dtype))
    assert bool((found[0][..., 2] == 0).all())
    assert found[0][..., :2].norm() == pytest.approx(2**0.5, rel=1e-3)
