"""A column that numbers the rows is known in any order, and by whole batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrow.data.tables.scan import Numbering


def told(values, parts=3):
    found = Numbering()
    for part in np.array_split(np.array(values, dtype=float), parts):
        if len(part):
            found.add(part)
    return found.of(len(values))


@given(start=st.integers(-(10**6), 10**12), count=st.integers(1, 60), seed=st.integers(0, 99), parts=st.integers(1, 5))
def test_any_order_is_known(start, count, seed, parts):
    assert told(start + np.random.default_rng(seed).permutation(count), parts)


@given(values=st.lists(st.integers(-20, 20), min_size=1, max_size=40))
def test_it_is_what_a_set_says(values):
    whole = sorted(values) == list(range(min(values), min(values) + len(values)))
    # Sums say no where the set does, but for rare doubles with the same sums.
    assert told(values) >= whole
    if len(values) <= 4:
        assert told(values) == whole


@pytest.mark.parametrize(
    "values", [[1.5, 2.5, 3.5, 5], [0, 2, 4], [1, 1, 2], [0, 2**30], [np.inf, 1], [np.nan, 1], [1, np.inf]]
)
def test_other_numbers_are_none(values):
    assert not told(values)
