"""The metric S when it is singular or badly scaled, and methods that do not know units."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_checks import close
from reference_network import normal

from dagrow.methods import METHODS, MethodRequest, Metric, SiteMoments, best_update, explained


def with_columns(B, *columns):
    """Features with some replaced: ``(index, values)``."""
    B = B.clone()
    for index, values in columns:
        B[:, index] = values
    return B


plain = normal(30, 6)
UNITS = 10.0 ** torch.tensor([-6.0, 6.0, 0.0, 3.0, -3.0, 6.0], dtype=torch.float64)
FEATURES = {
    "well conditioned": plain,
    "dead": with_columns(plain, (2, 0.0)),
    "two dead": with_columns(plain, (0, 0.0), (5, 0.0)),
    "duplicated": with_columns(plain, (3, plain[:, 1])),
    "duplicated in another unit": with_columns(plain, (3, -1e6 * plain[:, 1])),
    "a sum of others": with_columns(plain, (4, plain[:, 0] + plain[:, 1] - 2 * plain[:, 2])),
    "two constants": with_columns(plain, (0, 1.0), (5, 1.0)),
    "few samples": normal(4, 6, seed=1),
    "one sample": normal(1, 6, seed=2),
    "a wide range of units": plain * UNITS,
    "units and a duplicate": with_columns(plain * UNITS, (3, plain[:, 1])),
    "units and few samples": normal(4, 6, seed=3) * UNITS,
    "all zero": torch.zeros(30, 6).double(),
    "tiny numbers": plain * 1e-120,
    "huge numbers": plain * 1e120,
}


def moments_of(B, v):
    n = len(B)
    noise = v * torch.where(normal(n, 1, seed=77) > 0, 1.0, -1.0)
    N = B.T @ v / n
    return SiteMoments(
        S=B.T @ B / n, N_proj=N, N_goal=N, N_noise=B.T @ noise / n, mean=B.mean(0),
        v_goal_squared=float(v.square().sum() / n), precision=torch.float64,
    )  # fmt: skip


def best_fit(B, v):
    """Predictions of lstsq on the explicit features, each in units of its own size."""
    size = B.abs().amax(0)
    unit = (B / torch.where(size > 0, size, 1.0)).numpy()
    return unit @ np.linalg.lstsq(unit, v.numpy(), rcond=1e-10)[0]


@pytest.mark.parametrize("name", FEATURES)
def test_predictions_are_those_of_least_squares(name):
    B, v = FEATURES[name], normal(len(FEATURES[name]), 3, seed=9)
    moments = moments_of(B, v)
    metric = Metric(moments.S)
    dW = best_update(metric, moments.N_goal)
    assert bool(dW.isfinite().all())
    fit = best_fit(B, v)
    close(B @ dW.T, fit, tolerance=1e-6, scale=1.0)
    assert explained(metric, moments.N_goal) == pytest.approx(np.square(fit).sum() / len(B), rel=1e-6, abs=1e-12)
    assert metric.rank == np.linalg.matrix_rank((B / B.abs().amax(0).clamp(min=1e-300)).numpy())


@pytest.mark.parametrize("name", FEATURES)
def test_neurons_are_finite_and_fit_as_well(name):
    """All neurons together are the least-squares fit: sum of alpha_k omega_k = S^+ N."""
    B, v = FEATURES[name], normal(len(FEATURES[name]), 3, seed=9)
    neurons = METHODS["tiny"](moments_of(B, v), MethodRequest(neurons=99, significance=0.0))
    assert all(bool(x.isfinite().all()) for x in (neurons.alpha, neurons.omega, neurons.scores))
    close(B @ neurons.alpha @ neurons.omega, best_fit(B, v), tolerance=1e-6, scale=1.0)


@pytest.mark.parametrize("shrinkage", [1e-4, 1.0, 100.0])
@pytest.mark.parametrize("name", FEATURES)
def test_shrinkage_is_ridge_regression(name, shrinkage):
    """With rho, the fit is that of ``S + rho mean(diag S) I``: least squares with rows added to B."""
    B, v = FEATURES[name], normal(len(FEATURES[name]), 3, seed=9)
    moments = moments_of(B, v)
    dW = best_update(Metric(moments.S, shrinkage), moments.N_goal)
    assert bool(dW.isfinite().all())
    top = float(B.abs().max()) or 1.0
    unit = (B / top).numpy()
    ridge = (shrinkage * np.square(unit).sum() / unit.shape[1]) ** 0.5 * np.eye(unit.shape[1])
    expected = np.linalg.lstsq(np.vstack([unit, ridge]), np.vstack([v.numpy(), np.zeros((6, 3))]), rcond=None)[0]
    close(B @ dW.T, unit @ expected, tolerance=1e-6, scale=1.0)


@pytest.mark.parametrize("name", FEATURES)
def test_products_in_float32_stay_finite_and_near_the_best_fit(name):
    B, v = FEATURES[name], normal(len(FEATURES[name]), 3, seed=9)
    if "numbers" in name:
        B = plain
    if "units" in name:
        B = B * 1e-3  # within the range of float32 products
    single, goal = B.float(), v.float()
    S, N = (single.T @ single).double() / len(B), (single.T @ goal).double() / len(B)
    dW = best_update(Metric(S, precision=torch.float32), N)
    assert bool(dW.isfinite().all())
    left, least = (v - B @ dW.T).square().sum(), (v - torch.tensor(best_fit(B, v))).square().sum()
    assert float(left - least) < 1e-4 * float(v.square().sum())


@settings(max_examples=40)
@given(
    samples=st.integers(1, 12), features=st.integers(1, 8), rank=st.integers(0, 8),
    units=st.integers(0, 6), seed=st.integers(0, 999),
)  # fmt: skip
def test_any_rank_and_units(samples, features, rank, units, seed):
    scales = (
        10.0 ** torch.randint(-units, units + 1, (features,), generator=torch.Generator().manual_seed(seed)).double()
    )
    B = normal(samples, rank, seed=seed) @ normal(rank, features, seed=seed + 1) * scales
    v = normal(samples, 2, seed=seed + 2)
    moments = moments_of(B, v)
    close(B @ best_update(Metric(moments.S), moments.N_goal).T, best_fit(B, v), tolerance=1e-5, scale=1.0)


@settings(max_examples=30)
@given(
    power=st.integers(-9, 9),
    goal=st.integers(-9, 9),
    shrinkage=st.sampled_from([0.0, 1e-2, 10.0]),
    seed=st.integers(0, 99),
)
def test_the_method_does_not_know_units(power, goal, shrinkage, seed):
    """Features in another unit, or a loss in another: the same neurons kept, in that unit."""
    B, v = normal(40, 5, seed=seed), normal(40, 4, seed=seed + 1) + normal(40, 1, seed=seed)
    request = MethodRequest(neurons=9, shrinkage=shrinkage)
    a, b = 10.0**power, 10.0**goal
    one, other = (METHODS["tiny"](moments_of(*pair), request) for pair in ((B, v), (a * B, b * v)))
    assert one.count == other.count
    close(other.scores, b * one.scores)
    close(other.noise_level, b * one.noise_level)
    close(other.alpha, b**0.5 / a * one.alpha, tolerance=1e-6)
    close(other.omega, b**0.5 * one.omega, tolerance=1e-6)


def test_without_shrinkage_each_feature_may_have_a_unit_of_its_own():
    B, v = plain, normal(30, 4, seed=5)
    one, other = (METHODS["tiny"](moments_of(b, v), MethodRequest(neurons=9)) for b in (B, B * UNITS))
    assert one.count == other.count > 0
    close(other.scores, one.scores)
    close(other.alpha * UNITS.unsqueeze(1), one.alpha, tolerance=1e-6)
