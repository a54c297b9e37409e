from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dagrow.data.splitting import split_rows
from dagrow.errors import DataError
from dagrow.objectives import LOSSES

CLASSES = LOSSES["cross_entropy"]


@given(
    counts=st.lists(st.integers(2, 30), min_size=1, max_size=5),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_sample_is_on_one_side_and_every_class_on_both(counts, share, seed):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    train, test = split_rows((labels,), CLASSES, share, seed)
    assert sorted(torch.cat([train, test]).tolist()) == list(range(len(labels)))
    for label, count in enumerate(counts):
        kept = int((labels[test] == label).sum())
        assert 1 <= kept <= count - 1
        assert abs(kept - share * count) <= 1.0


def test_the_seed_decides():
    labels = torch.arange(100) % 4
    first, again, other = (split_rows((labels,), CLASSES, 0.2, seed) for seed in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


def test_rows_come_in_random_order():
    train, _ = split_rows((torch.arange(60) // 30,), CLASSES, 0.5, 0)
    assert train.tolist() != sorted(train.tolist())


def test_measured_values_are_split_at_random():
    train, test = split_rows((torch.arange(10.0).unsqueeze(1),), LOSSES["mse"], 0.3, 0)
    assert (len(train), len(test)) == (7, 3)


def test_one_column_of_bits_is_stratified_and_several_are_not():
    column = torch.tensor([[1.0]] * 2 + [[0.0]] * 98)
    _, test = split_rows((column,), LOSSES["binary_cross_entropy"], 0.5, 0)
    assert column[test].sum() == 1
    several = torch.cat([column, column], dim=1)
    assert len(split_rows((several,), LOSSES["binary_cross_entropy"], 0.5, 0)[1]) == 50


def test_too_few_samples():
    with pytest.raises(DataError, match="class 2 has 1 sample; a split takes 2"):
        split_rows((torch.tensor([0, 0, 1, 1, 2]),), CLASSES, 0.2, 0)
    with pytest.raises(DataError, match="the data has 1 sample"):
        split_rows((torch.tensor([[0.5]]),), LOSSES["mse"], 0.2, 0)
