"""The line search on curves whose minimum is known."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrow.planner.amplitude import ABOVE, BELOW, FIRST, AmplitudeSearch

START = 1.0


def run(curve, scale=1.0):
    """The search to its end, and how many losses it asked for."""
    search = AmplitudeSearch(scale)
    search.start = START
    count = 0
    while asked := search.ask():
        assert len(set(asked)) == len(asked)
        assert not set(asked) & set(search.losses), "asked twice"
        count += len(asked)
        assert count < 50
        search.tell({t: curve(t * scale) for t in asked})
    return search, count


def valley(at, width=2.0, depth=0.5):
    """A parabola in log g around ``at``, flat at the starting loss far from it."""
    return lambda g: START - depth * math.exp(-((math.log(g / at) / width) ** 2))


def quadratic(at, depth=0.5):
    """What a quadratic loss does along a line: a parabola in g."""
    return lambda g: START + depth * ((g / at - 1) ** 2 - 1)


MINIMA = [1e-7, 3e-4, 0.3, 1.0, 2.4, 5.0, 8e3]


@pytest.mark.parametrize("at", MINIMA)
@pytest.mark.parametrize("curve", [valley, quadratic])
def test_the_minimum_is_found(at, curve):
    search, count = run(curve(at))
    drop = START - search.lowest_loss
    assert drop >= 0.95 * 0.5
    assert search.lowest_loss == curve(at)(search.amplitude)
    assert count <= 17


@pytest.mark.parametrize("at", [2e-3, 0.02, 0.1, 0.3, 1.0, 3.0])
def test_about_ten_evaluations_in_the_usual_range(at):
    for curve in (valley(at), quadratic(at)):
        search, count = run(curve)
        assert count <= 12
        assert START - search.lowest_loss >= 0.99 * 0.5


@settings(max_examples=200, deadline=None)
@given(st.floats(math.log(1e-7), math.log(1e4)), st.floats(1.5, 6), st.floats(1e-3, 0.9))
def test_any_smooth_valley(log_at, width, depth):
    curve = valley(math.exp(log_at), width, depth)
    search, count = run(curve)
    assert START - search.lowest_loss >= 0.95 * depth
    assert count <= 22


@pytest.mark.parametrize("at", [1e5, 3e6, 1e9])
def test_the_range_widens_above(at):
    search, count = run(valley(at, width=6.0))
    assert START - search.lowest_loss >= 0.95 * 0.5
    assert search.amplitude > 1e4
    assert count <= 21


@pytest.mark.parametrize("at", [1e-9, 1e-11])
def test_the_range_widens_below(at):
    search, count = run(valley(at, width=6.0))
    assert START - search.lowest_loss >= 0.95 * 0.5
    assert search.amplitude < 1e-8
    assert count <= 23


def test_a_loss_that_falls_for_ever_ends_the_search_all_the_same():
    search, count = run(lambda g: START / (1 + g))
    assert search.lowest_loss < 1e-3 * START
    assert search.amplitude >= 1e4
    assert count <= 20


@pytest.mark.parametrize("at", [0.2, 1.5, 3.0, 4.9])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_beyond_five_there_is_no_number(at, bad):
    curve = valley(at)
    search, count = run(lambda g: bad if g > 5 else curve(g))
    assert 0 < search.amplitude <= 5
    assert START - search.lowest_loss >= 0.9 * 0.5
    assert count <= 13


@pytest.mark.parametrize(
    "curve",
    [
        lambda g: math.nan,
        lambda g: math.inf,
        lambda g: -math.inf,
        lambda g: START,
        lambda g: START * (1 + g),
        lambda g: START + 1e-3 * math.sin(g) ** 2,
        lambda g: START * (1 - 1e-7),
    ],
)
def test_no_drop_is_zero(curve):
    search, count = run(curve)
    assert (search.amplitude, search.relative) == (0.0, 0.0)
    assert search.lowest_loss == START
    assert count <= len(FIRST) + len(BELOW) + len(ABOVE)


def test_a_start_that_is_no_number_rejects():
    search = AmplitudeSearch()
    search.tell({1.0: 0.5})
    assert search.amplitude == 0.0


@given(st.floats(1e-6, 1e6))
def test_amplitudes_are_relative_to_the_scale(scale):
    search, count = run(lambda g: valley(0.7)(g / scale), scale)
    reference, expected = run(valley(0.7))
    assert search.relative == pytest.approx(reference.relative, rel=1e-6)
    assert search.amplitude == pytest.approx(search.relative * scale)
    assert count == expected


@given(st.sampled_from([1e-3, 1.0, 1e3]))
def test_the_size_of_the_loss_decides_nothing(factor):
    search = AmplitudeSearch()
    search.start = START * factor
    while asked := search.ask():
        search.tell({t: factor * valley(5.0)(t) for t in asked})
    reference, _ = run(valley(5.0))
    assert search.relative == pytest.approx(reference.relative, rel=1e-6)


def test_the_smallest_of_equal_minima_is_taken():
    search, _ = run(lambda g: 0.5 if g >= 0.01 else START)
    assert search.amplitude <= 0.01
