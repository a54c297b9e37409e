"""Which amplitudes are tried and what amplitude 1 is (thesis 4.17, D.4.2, Algorithms 8, 12; TINY D.4), explicitly."""

import math

import numpy as np
import pytest
import torch
from reference_network import inserted, mean_loss, sample_values, squared
from test_joint_insertion import CHAINED, EXACT, FEEDING, problem

from dagrow.errors import GrowthError
from dagrow.planner import propose

GRAPHS = {"chain": CHAINED, "children that feed one another": FEEDING}


def best(model, data, **options):
    plan = propose(model, squared, data, **{"neurons": 2, "nodes": ["h"], **EXACT, **options})
    return plan.candidates[0]


def fan_ins(change):
    """``[K, F]``, the biases last."""
    parts = [torch.cat([w.weight.flatten(1), w.bias.unsqueeze(1)], 1) for w in change.features.fan_in.values()]
    return torch.cat(parts, 1).numpy()


def fan_outs(change):
    """``[M, K]``, all children below one another."""
    return torch.cat(list(change.features.fan_out.values())).numpy()


def lengths(rows):
    return math.sqrt(np.square(rows).sum() / len(rows))


@pytest.fixture(params=GRAPHS)
def setting(request):
    return problem(GRAPHS[request.param], 0)


def feature_size(model, values):
    """Root mean square of the features that the neurons read, all of one input: the unit of their fan-ins."""
    return math.sqrt(np.mean([np.square(one.b["x"]).mean() for one in values]))


def test_unit_lengths(setting):
    """4.17: ``sum ||alpha_j||^2 / n = sum ||omega_j||^2 / n = 1``, fan-ins on features of root mean square 1."""
    model, xs, y, data = setting
    candidate = best(model, data)
    change = candidate.trial.change
    alpha = fan_ins(change)
    alpha[:, :-1] *= feature_size(model, sample_values(model, squared, xs, y))
    assert lengths(alpha) == pytest.approx(1.0, rel=1e-6)
    assert lengths(fan_outs(change).T) == pytest.approx(1.0, rel=1e-6)
    made = candidate.trial.scaled(candidate.amplitude)
    assert lengths(fan_outs(made).T) == pytest.approx(math.sqrt(candidate.amplitude), rel=1e-6)


def test_relative_effect(setting):
    """TINY D.4: ``||v(sqrt(e) alpha, sqrt(e) omega, X)|| = e ||a(X)||``, over all children, act taken as linear."""
    model, xs, y, data = setting
    change = best(model, data, normalisation="relative_effect").trial.change
    values, children = sample_values(model, squared, xs, y), [edge.target for edge in change.features.fan_out]
    written = merged = 0.0
    for one in values:
        z = fan_ins(change) @ np.append(one.b["x"], 1.0)
        written += np.square(fan_outs(change) @ z).sum()
        merged += sum(np.square(one.a[child]).sum() for child in children)
    assert written == pytest.approx(merged, rel=1e-6)


def test_as_made(setting):
    """Amplitude 1 is Prop. 3.2.3: the linearised effect at amplitude 1 has the size of the singular values (3.24)."""
    model, xs, y, data = setting
    candidate = best(model, data, normalisation="as_made")
    change = candidate.trial.change
    values = sample_values(model, squared, xs, y)
    effects = [fan_outs(change) @ fan_ins(change) @ np.append(one.b["x"], 1.0) for one in values]
    assert np.square(effects).sum() / len(values) == pytest.approx(sum(np.square(candidate.scores)), rel=1e-6)


def test_fixed_lengths(setting):
    """D.5 and D.6: both sides have a length of the root of 1e-3, and there is no search."""
    model, xs, y, data = setting
    candidate = best(model, data, normalisation="fixed_lengths")
    made = candidate.trial.scaled(candidate.amplitude)
    alpha = fan_ins(made)
    alpha[:, :-1] *= feature_size(model, sample_values(model, squared, xs, y))
    assert lengths(alpha) == pytest.approx(math.sqrt(1e-3), rel=1e-6)
    assert lengths(fan_outs(made).T) == pytest.approx(math.sqrt(1e-3), rel=1e-6)
    drop = mean_loss(model, squared, data) - mean_loss(inserted(model, made), squared, data)
    assert drop == pytest.approx(candidate.gain, rel=1e-7)


def test_fixed_lengths_of_gradmax(setting):
    """D.2 and D.3: the fan-in is 0, fan-outs have a length of 1e-3."""
    model, _, _, data = setting
    candidate = best(model, data, method="gradmax", normalisation="fixed_lengths")
    made = candidate.trial.scaled(candidate.amplitude)
    assert not fan_ins(made).any()
    assert lengths(fan_outs(made).T) == pytest.approx(1e-3, rel=1e-6)


@pytest.mark.parametrize("way", ["unit_lengths", "relative_effect", "as_made"])
def test_where_all_amplitudes_are_tried_the_unit_hardly_matters(setting, way):
    model, _, _, data = setting
    assert best(model, data, normalisation=way).gain == pytest.approx(best(model, data).gain, rel=0.2)


@pytest.mark.share(0.35)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 100.0])
def test_no_amplitude_above_the_bound(setting, share):
    """The best of a dense grid up to the bound."""
    model, _, _, data = setting
    free = best(model, data)
    bound = share * free.amplitude
    candidate = best(model, data, amplitude={"maximum": bound})
    assert candidate.amplitude <= bound * (1 + 1e-12)
    before = mean_loss(model, squared, data)
    grid = np.geomspace(1e-3, min(1.0, 3 / share), 31) * bound
    losses = [mean_loss(inserted(model, free.trial.scaled(float(g))), squared, data) for g in grid]
    assert candidate.gain >= 0.98 * (before - min(losses))


def test_the_grid_of_algorithm_8(setting):
    """``exp^k`` from the first amplitude up to the bound, the best of them as it is."""
    model, _, _, data = setting
    candidate = best(model, data, amplitude={"first": 1e-8, "factor": 2, "maximum": 64})
    grid = [1e-8 * 2**k for k in range(math.floor(math.log2(64e8)) + 1)]
    before = mean_loss(model, squared, data)
    gains = [before - mean_loss(inserted(model, candidate.trial.scaled(g)), squared, data) for g in grid]
    assert candidate.amplitude == pytest.approx(grid[int(np.argmax(gains))], rel=1e-9)
    assert candidate.gain == pytest.approx(max(gains), rel=1e-7)


def test_an_amplitude_that_is_given(setting):
    model, _, _, data = setting
    free = best(model, data)
    candidate = best(model, data, amplitude={"fixed": 0.2 * free.amplitude})
    assert candidate.amplitude == pytest.approx(0.2 * free.amplitude)
    drop = mean_loss(model, squared, data) - mean_loss(
        inserted(model, free.trial.scaled(0.2 * free.amplitude)), squared, data
    )
    assert candidate.gain == pytest.approx(drop, rel=1e-7)
    if model.spec is CHAINED:
        assert best(model, data, amplitude={"fixed": 1e6}).rejected == "no amplitude lowers the loss"


def test_an_update_is_a_multiple_of_the_best_one():
    """Thesis Algorithm 12: amplitude 1 of an update, without a search, is Prop. 3.2.2 as it stands."""
    model, _, _, data = problem(CHAINED, 0)
    options = {"candidates": ["update", "widen"], "nodes": ["y", "h"]}
    one = propose(model, squared, data, **EXACT, **options, update_amplitude={"fixed": 1.0}, neurons=2)
    (update,) = (candidate for candidate in one.candidates if (candidate.kind, candidate.place) == ("update", "y"))
    assert update.amplitude == 1.0
    free = propose(model, squared, data, **EXACT, **options, neurons=2)
    (searched,) = (candidate for candidate in free.candidates if (candidate.kind, candidate.place) == ("update", "y"))
    # A linear output on squared loss: the whole step is the best one.
    assert searched.amplitude == pytest.approx(1.0, rel=1e-6)
    assert update.gain == pytest.approx(searched.gain, rel=1e-9)


def test_the_bound_of_updates_that_come_along():
    model, _, _, data = problem(FEEDING, 0)
    for bound in (1e-3, 0.1):
        candidate = best(model, data, with_update="two_amplitudes", update_amplitude={"maximum": bound})
        (free, *_), (own, *_) = (
            propose(model, squared, data, nodes=["y"], candidates=["update"], **EXACT, **fields).candidates
            for fields in ({}, {"update_amplitude": {"maximum": bound}})
        )
        assert own.amplitude <= bound * (1 + 1e-12) < free.amplitude
        made = candidate.trial.scaled(candidate.amplitude)
        full = free.trial.scaled(1.0)
        for update in made.updates:
            if update.node == "y":
                for edge, weights in update.weights.items():
                    ratio = weights.weight.norm() / full.updates[0].weights[edge].weight.norm()
                    assert ratio <= bound * (1 + 1e-6)


def test_what_gains_too_small_a_share_is_rejected(setting):
    model, _, _, data = setting
    plan = propose(model, squared, data, nodes=["h"], neurons=2, **EXACT)
    share = plan.best.gain / plan.loss
    assert not best(model, data, amplitude={"min_gain": 0.99 * share}).rejected
    rejected = best(model, data, amplitude={"min_gain": min(0.999, 1.01 * share)})
    assert "of the loss" in rejected.rejected
    assert rejected.estimate.gain == pytest.approx(plan.best.gain)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"fixed": 1, "maximum": 2}, "'fixed' leaves nothing to be searched: leave out 'maximum'"),
        ({"factor": 2}, "'factor' says how amplitudes follow 'first'"),
        ({"first": 2}, r"'first' \(2\) is above the largest amplitude \(1\)"),
        ({"first": 1e-300, "factor": 1.01}, "more than 1000 amplitudes"),
        ({"maximum": 0}, "expected more than 0"),
    ],
)
def test_bad_options_are_a_sentence(fields, sentence):
    model, _, _, data = problem(CHAINED, 0)
    with pytest.raises(GrowthError, match=sentence):
        best(model, data, amplitude=fields)
