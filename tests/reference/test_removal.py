"""What one neuron removes of the bottleneck: the batched formula against least squares on explicit columns."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_checks import close
from reference_network import normal
from reference_samples import left_with, removed, sites, triangle, with_constant

from dagrow.methods import ChildSamples, Neurons, SiteSamples
from dagrow.methods import residual_fit as removal
from dagrow.methods.batched_lbfgs import ascend
from dagrow.methods.modes import SearchedFanOut
from dagrow.methods.residual_fit import ResidualFit, orthonormal

SITES = sites()


def removal_of(samples, draws=0):
    """Of v_proj, and of some draws in which samples are shuffled and have signs."""
    n = len(samples.B)
    signs = torch.where(normal(draws, n, seed=9) > 0, 1.0, -1.0)
    return ResidualFit.of(samples, (normal(draws, n, seed=8).argsort(1), signs) if draws else None)


@pytest.mark.parametrize("name", SITES)
def test_gain_is_what_least_squares_removes(name, monkeypatch):
    """With next to no ridge, ``tr N^T G^-1 N`` is the drop of the least-squares residual."""
    monkeypatch.setattr(removal, "RIDGE", 1e-12)
    samples = SITES[name]
    alpha = normal(samples.B.shape[2], 5, seed=3)
    own = removal_of(samples)
    gains = own.gains(samples.B @ alpha) * own.size**2
    expected = [removed(samples, alpha[:, k : k + 1]) for k in range(5)]
    close(gains, expected, tolerance=1e-6)
    drops = [own.picked(samples.B @ alpha[:, k : k + 1])[0] * own.size**2 for k in range(5)]
    close(drops, expected, tolerance=1e-9)


@pytest.mark.parametrize("name", SITES)
def test_gain_by_loops(name):
    """The formula as it is written, ridge and penalty included, neuron by neuron and child by child."""
    samples = SITES[name]
    alpha, penalty = normal(samples.B.shape[2], 3, seed=4), torch.tensor([0.0, 1.0, 30.0]).double()
    own = removal_of(samples)
    found = own.gains(samples.B @ alpha, penalty) * own.size**2
    for k in range(3):
        outputs, expected = samples.activate(samples.B @ alpha[:, k : k + 1]), 0.0
        for child in samples.children:
            v, existing, X = (
                x.flatten(0, 1).numpy() for x in (child.v_proj, child.existing, child.read(outputs)[:, :, 0])
            )
            left = X - existing @ np.linalg.lstsq(existing, X, rcond=1e-12)[0]
            N, G = left.T @ v / len(samples.B), left.T @ left / len(samples.B)
            ridge = (removal.RIDGE * np.square(X).sum() / X.shape[1] + float(penalty[k])) / len(samples.B)
            expected += np.trace(N.T @ np.linalg.solve(G + ridge * np.eye(len(G)), N))
        assert float(found[k]) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("name", SITES)
def test_each_draw_is_a_problem_of_its_own(name):
    """Several right-hand sides at once give what each gives alone, and all have the same length to remove."""
    samples = SITES[name]
    Z = samples.B @ normal(samples.B.shape[2], 6, seed=5)
    own = removal_of(samples, draws=2)
    alone = torch.cat([own.draw(d).gains(Z[..., 2 * d : 2 * d + 2]) for d in range(3)])
    close(own.gains(Z), alone)
    for target in own.targets:
        close(target.v.square().sum((1, 2)), target.v[0].square().sum().expand(3))
        existing = target.samples.existing.flatten(0, 1)
        assert float((existing.T @ target.v).abs().max()) < 1e-9


@pytest.mark.parametrize("name", SITES)
def test_drops_of_all_draws_are_those_of_picks(name):
    samples = SITES[name]
    Z = samples.B @ normal(samples.B.shape[2], 3, seed=5)
    own = removal_of(samples, draws=2)
    assert own.drops(Z) == pytest.approx([own.draw(d).picked(Z[..., d : d + 1])[0] for d in range(3)], rel=1e-9)


@pytest.mark.parametrize("name", SITES)
def test_picks_add_up_to_joint_least_squares(name):
    samples = SITES[name]
    own, drops = removal_of(samples), []
    alpha = normal(samples.B.shape[2], 3, seed=6)
    start = removal_of(samples)
    for k in range(3):
        drop, own = own.picked(samples.B @ alpha[:, k : k + 1])
        drops.append(drop * own.size**2)
        assert sum(drops) == pytest.approx(removed(samples, alpha[:, : k + 1]), rel=1e-8)
    omega, updates = start.solve(samples.B @ alpha)
    neurons = Neurons(alpha, omega, torch.ones(3), mode=SearchedFanOut(updates))
    assert start.size**2 - left_with(samples, neurons) == pytest.approx(sum(drops), rel=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["dead", "linear", "nearly linear"])
def test_neurons_without_anything_new_gain_nothing(kind, dtype):
    """X~ = 0 up to rounding is no reason to divide by it."""
    x, v = normal(50, 4, seed=1).to(dtype), normal(50, 3, seed=2).to(dtype)
    samples = triangle(x, v, torch.relu)
    bias = {"dead": -1e3, "linear": 1e3, "nearly linear": 1e3}[kind]
    alpha = torch.cat([normal(4, 6, seed=3), torch.full((1, 6), bias)]).to(dtype)
    if kind == "nearly linear":
        samples = SiteSamples(samples.B, samples.children, lambda Z: Z + 1e-5 * torch.sin(Z))
    own = removal_of(samples)
    assert float(own.gains(samples.B @ alpha).abs().max()) < 1e-6
    if kind != "nearly linear":
        assert own.picked(samples.B @ alpha[:, :1])[0] < 1e-6


def test_nothing_is_left_where_existing_features_explain_every_sample():
    for dtype in (torch.float32, torch.float64):
        x, v = normal(6, 8, seed=1).to(dtype), normal(6, 1, 3, seed=2).to(dtype)
        B = with_constant(x).unsqueeze(1)
        samples = SiteSamples(B, (ChildSamples(v, B, lambda h: h.unsqueeze(3)),), torch.relu)
        assert removal_of(samples, draws=4).size == 0


@settings(max_examples=40)
@given(
    rows=st.integers(1, 20), features=st.integers(0, 8), rank=st.integers(0, 8),
    units=st.integers(0, 4), seed=st.integers(0, 999),
)  # fmt: skip
def test_bases_are_orthonormal(rows, features, rank, units, seed):
    scales = 10.0 ** torch.linspace(-units, units, features).double()
    B = normal(rows, rank, seed=seed) @ normal(rank, features, seed=seed + 1) * scales
    basis, mixing = orthonormal(B)
    close(basis.T @ basis, torch.eye(basis.shape[1]), tolerance=1e-9, scale=1.0)
    close(B @ mixing, basis, tolerance=1e-5, scale=1.0)
    assert basis.shape[1] == min(rows, features, rank)


def test_columns_climb_to_their_own_tops():
    """Concave quadratics of different curvature, side by side."""
    top, roots = normal(6, 5, seed=1), normal(5, 6, 6, seed=2)
    H = roots @ roots.transpose(1, 2) + torch.eye(6).double()
    H = H * 10.0 ** torch.arange(-4, 6, 2).double().view(-1, 1, 1)

    def height(W):
        d = (W - top).T.unsqueeze(2)
        return -(d.transpose(1, 2) @ H @ d).flatten()

    start = normal(6, 5, seed=3)
    close(ascend(height, start, 200), top, tolerance=1e-4)
    before = height(start)
    for steps in (1, 3, 10):
        after = height(ascend(height, start, steps))
        assert bool((after >= before).all())
        before = after


def test_columns_without_a_number_stay():
    start = torch.ones(2, 3).double()
    found = ascend(lambda W: torch.where(torch.tensor([True, False, False]), -W.square().sum(0), torch.nan), start, 5)
    assert bool((found[:, 1:] == 1).all())
    assert float(found[:, 0].norm()) < 0.5


def ridge_left(features, v, weights):
    """``min |v - features d|^2 + sum weights |d|^2`` and d, as least squares with a row per weight."""
    rows = np.vstack([features, np.diag(np.sqrt(weights))])
    wanted = np.vstack([v, np.zeros((len(weights), v.shape[1]))])
    d = np.linalg.lstsq(rows, wanted, rcond=1e-13)[0]
    return np.square(wanted - rows @ d).sum(), d


@pytest.mark.parametrize("ridge", [0.01, 3.0])
@pytest.mark.parametrize("name", SITES)
def test_a_ridge_on_the_update_is_a_penalised_fit(name, ridge, monkeypatch):
    """Gain, drop, omega and update against explicit penalised least squares; the constant, last, is free."""
    monkeypatch.setattr(removal, "RIDGE", 1e-12)
    samples, n = SITES[name], len(SITES[name].B)
    Z = samples.B @ normal(samples.B.shape[2], 1, seed=3)
    own = ResidualFit.of(samples, ridge=ridge)
    omega, updates = own.solve(Z)
    expected, at = 0.0, 0
    for child, dW in zip(samples.children, updates, strict=True):
        v, existing, X = (
            x.flatten(0, 1).numpy() for x in (child.v_proj, child.existing, child.read(samples.activate(Z))[:, :, 0])
        )
        weights = np.full(existing.shape[1], ridge * np.square(existing[:, :-1]).sum(0).mean())
        weights[-1] = 0.0
        without, before = ridge_left(existing, v, weights)
        both = np.hstack([X, existing])
        joint, d = ridge_left(both, v, np.concatenate([np.zeros(X.shape[1]), weights]))
        expected += (without - joint) / n
        size = X.shape[1] * v.shape[1]
        close(omega[0, at : at + size].view(X.shape[1], -1), torch.from_numpy(d[: X.shape[1]]), tolerance=1e-6)
        close(dW.T, torch.from_numpy(d[X.shape[1] :] - before), tolerance=1e-6)
        at += size
    assert float(own.gains(Z)[0]) * own.size**2 == pytest.approx(expected, rel=1e-6)
    assert own.picked(Z)[0] * own.size**2 == pytest.approx(expected, rel=1e-8)
