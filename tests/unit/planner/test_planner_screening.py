"""Which places are worth solving: by their bounds, and in their order where these agree."""

from types import SimpleNamespace

import pytest

from dagrow.planner.screening import most_promising

BOUNDS = [0.1, 0.4, 0.4, 0.2, 0.4]


@pytest.mark.parametrize("off", [0.0, 1e-7, -1e-7], ids=["equal", "above", "below"])
@pytest.mark.parametrize("parameters", [1, 1000])
def test_bounds_that_agree_go_by_their_order(off, parameters):
    entries = [SimpleNamespace(place=index) for index in range(5)]
    bounds = [*BOUNDS[:4], BOUNDS[4] * (1 + off)]
    found = most_promising(entries, bounds, lambda place, bound: bound / parameters)
    assert [entry.place for entry in found] == [1, 2, 4, 3, 0]


def test_what_is_nothing_beside_the_best_goes_by_its_order():
    """Bounds are rounded in the size of the largest: beside it, one of 1e-9 is 0."""
    entries = [SimpleNamespace(place=index) for index in range(3)]
    assert [e.place for e in most_promising(entries, [0.0, 1e-9, 1.0], lambda place, bound: bound)] == [2, 0, 1]
