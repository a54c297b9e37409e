"""What singular values are without signal: closed forms against draws, and the rate of false alarms on pure noise."""

import math

import numpy as np
import pytest
import torch
from reference_network import network, normal, squared
from test_noise_and_signal import SPECS, noise, proposed

from dagrow.errors import GrowthError
from dagrow.methods import METHODS, NOISE_LEVELS, MethodRequest, SiteMoments
from dagrow.methods.noise_level import largest_eigenvalue, shrunk

LOOKS = 200


def moments(samples, features, spread, seed, draws, signal=0.0):
    """Moments of a look at noise: features with a constant, desired updates of unequal size that hang together."""
    generator = np.random.default_rng(seed)
    B = np.concatenate([generator.standard_normal((samples, features - 1)), np.ones((samples, 1))], axis=1)
    v = generator.standard_normal((samples, len(spread))) @ np.diag(spread)
    v[:, 0] += signal * B[:, 0]
    signs = generator.choice([-1.0, 1.0], size=(draws, samples))
    N = torch.from_numpy(B.T @ v / samples)
    return SiteMoments(
        S=torch.from_numpy(B.T @ B / samples),
        N_proj=N,
        N_noise=torch.from_numpy(np.einsum("nf,dn,nm->dfm", B, signs, v) / samples),
        N_goal=None,
        mean=torch.from_numpy(B.mean(0)),
        v_goal_squared=float(np.square(v).sum() / samples),
        precision=torch.float64,
    )


def rate(name, samples, features, spread, looks=LOOKS, signal=0.0):
    """The share of looks in which a neuron passes."""
    level = NOISE_LEVELS[name]
    request = MethodRequest(neurons=1, noise_level=level)
    found = [
        METHODS["tiny"](moments(samples, features, spread, seed, level.draws, signal), request).count
        for seed in range(looks)
    ]
    return sum(found) / looks


EQUAL, UNEQUAL = (1.0,) * 6, (4.0, 2.0, 1.0, 1.0, 0.5, 0.1)


@pytest.mark.parametrize("seed", range(5))
def test_eigenvalues_of_few_rows_are_drawn_together(seed):
    """Their mean stays; of equal columns they come back to it, of unequal ones the largest is not raised."""
    G = np.random.default_rng(seed).standard_normal((30, len(EQUAL)))
    for spread in (EQUAL, UNEQUAL):
        found = torch.from_numpy(np.linalg.eigvalsh(np.cov((G @ np.diag(spread)).T, bias=True)))
        kept = shrunk(found, len(G))
        assert float(kept.sum()) == pytest.approx(float(found.sum()), rel=1e-12)
        assert float(kept.max()) <= float(found.max())
        if spread == EQUAL:
            assert float(kept.std()) <= 0.4 * float(found.std())


@pytest.mark.share(0.35)
@pytest.mark.parametrize("spread", [EQUAL, UNEQUAL], ids=["equal", "unequal"])
@pytest.mark.parametrize("name", NOISE_LEVELS)
def test_the_rate_of_false_alarms(name, spread):
    """About one in twenty; at most twice that in 200 looks, by all three."""
    assert rate(name, samples=300, features=12, spread=spread) <= 0.1


@pytest.mark.parametrize("name", NOISE_LEVELS)
def test_what_is_there_is_found(name):
    """A correlation of 0.4 on 300 samples is seen in nearly all looks."""
    assert rate(name, samples=300, features=12, spread=EQUAL, looks=40, signal=0.45) >= 0.9


@pytest.mark.parametrize("spread", [EQUAL, UNEQUAL, (3.0, *(1.0,) * 39)], ids=["equal", "unequal", "one of forty"])
def test_the_edge_of_the_spectrum_against_draws(spread):
    """The largest eigenvalue of ``G^T G``, G of Gaussian rows: its mean and 95th percentile over 400 draws."""
    rows, generator = 60, np.random.default_rng(1)
    drawn = [
        np.linalg.norm(generator.standard_normal((rows, len(spread))) @ np.diag(spread), 2) ** 2 for _ in range(400)
    ]
    eigenvalues = torch.tensor(spread, dtype=torch.float64).square()
    # The mean of the Tracy-Widom law for real matrices is -1.2065, its 95th percentile 0.9793. Of unequal columns the
    # largest stands alone, beyond the edge of the others: the law is too high there, which is the safe side.
    mean, high = (largest_eigenvalue(eigenvalues, rows, deviation) for deviation in (-1.2065, 0.9793))
    slack = 0.06 if spread == EQUAL else 0.2
    assert 0.97 * np.mean(drawn) <= mean <= (1 + slack) * np.mean(drawn)
    assert 0.97 * np.quantile(drawn, 0.95) <= high <= (1 + slack) * np.quantile(drawn, 0.95)


@pytest.mark.parametrize(("rows", "columns"), [(30, 30), (100, 10), (10, 100)])
def test_of_equal_columns_the_edge_is_that_of_marchenko_and_pastur(rows, columns):
    """``(sqrt(rows) + sqrt(columns))^2``, and Johnstone's scale of what is beyond."""
    ones = torch.ones(columns, dtype=torch.float64)
    edge = (math.sqrt(rows) + math.sqrt(columns)) ** 2
    assert largest_eigenvalue(ones, rows, 0.0) == pytest.approx(edge, rel=1e-9)
    scale = (math.sqrt(rows) + math.sqrt(columns)) * (rows**-0.5 + columns**-0.5) ** (1 / 3)
    assert largest_eigenvalue(ones, rows, 1.0) - edge == pytest.approx(scale, rel=1e-9)


def test_the_quantile_is_that_of_the_draws():
    """The largest of nineteen draws: what is drawn like them exceeds it once in twenty times."""
    found = moments(100, 5, EQUAL, seed=3, draws=19)
    metric = found.metric()
    expected = max(float(torch.linalg.matrix_norm(metric.whiten(N), 2)) for N in found.noise_draws)
    assert NOISE_LEVELS["quantile"].draws == 19
    assert NOISE_LEVELS["quantile"].level(metric, found.noise_draws) == expected


@pytest.mark.parametrize("name", NOISE_LEVELS)
def test_no_level_hangs_on_units(name):
    """Updates a thousand times as large have a level a thousand times as high."""
    found = moments(100, 5, UNEQUAL, seed=4, draws=NOISE_LEVELS[name].draws)
    level = NOISE_LEVELS[name].level(found.metric(), found.noise_draws)
    assert NOISE_LEVELS[name].level(found.metric(), 1000 * found.noise_draws) == pytest.approx(1000 * level, rel=1e-9)
    assert NOISE_LEVELS[name].level(found.metric(), 0 * found.noise_draws) == 0.0


@pytest.mark.parametrize("name", NOISE_LEVELS)
def test_proposals_take_the_level_that_they_are_asked_for(name):
    """Of noise nearly nothing grows, and the level is one number per place, above 0."""
    grown = 0
    for seed in range(4):
        model, loss, data = noise("vectors", squared, seed)
        plan = proposed(model, loss, data, candidates=["widen"], fallback_method="none", noise_level=name)
        grown += plan.best is not None
        kept = [c for c in proposed(
            model, loss, data, candidates=["widen"], fallback_method="none", noise_level=name, significance=1e-3
        ).candidates if c.neurons]  # fmt: skip
        assert all(candidate.noise_level > 0 for candidate in kept)
    assert grown <= 1


def test_an_unknown_level_is_refused():
    model = network(SPECS["vectors"], 0)
    with pytest.raises(GrowthError, match="unknown noise level 'marchenko'"):
        proposed(model.eval(), squared, [(normal(20, 6), normal(20, 3))], noise_level="marchenko")
