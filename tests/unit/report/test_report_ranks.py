"""Spearman's rank correlation: against the definition, and where there is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrow.report.ranks import rank_correlation

NUMBERS = st.integers(-3, 3).map(float)


def definition(pairs):
    def ranks(values):
        order = sorted(values)
        return [np.mean([i for i, other in enumerate(order) if other == value]) for value in values]

    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=12))
def test_it_is_the_correlation_of_mean_ranks(pairs):
    found = rank_correlation(pairs)
    if len({a for a, _ in pairs}) == 1 or len({b for _, b in pairs}) == 1:
        assert found is None
    else:
        assert found == pytest.approx(definition(pairs), abs=1e-12)


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=8, unique=True))
def test_only_the_order_counts(values):
    assert rank_correlation([(value, np.exp(0.1 * value)) for value in values]) == pytest.approx(1.0)
    assert rank_correlation([(value, -value) for value in values]) == pytest.approx(-1.0)


def test_two_pairs_say_nothing():
    assert rank_correlation([(1.0, 2.0), (2.0, 3.0)]) is None
