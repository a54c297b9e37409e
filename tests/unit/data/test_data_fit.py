from __future__ import annotations

from math import prod

import numpy as np
import pytest
import torch
from data_graphs import map_dag, vector_dag
from hypothesis import given
from hypothesis import strategies as st

from dagrow.data import load_data
from dagrow.data.fit import reshape_samples
from dagrow.errors import DataError
from dagrow.objectives import LOSSES
from dagrow.spec.run import DataSpec

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


@given(found=SHAPES, wanted=SHAPES)
def test_samples_are_reshaped_exactly_if_they_hold_as_many_values(found, wanted):
    x = torch.arange(2 * prod(found)).reshape(2, *found)
    last = len(found) == len(wanted) == 3 and found != wanted and found == (*wanted[1:], wanted[0])
    if prod(found) != prod(wanted) or (last and wanted[0] > 1):
        with pytest.raises(DataError) as caught:
            reshape_samples(x, wanted, "x")
        assert str(list(found)) in str(caught.value)
        assert str(list(wanted)) in str(caught.value)
    else:
        shaped = reshape_samples(x, wanted, "x")
        assert shaped.shape == (2, *wanted)
        assert torch.equal(shaped.flatten(), x.flatten())


def test_single_numbers_are_one_feature():
    assert reshape_samples(torch.arange(3.0), (1,), "x").shape == (3, 1)


def test_images_with_channels_last_are_refused():
    with pytest.raises(DataError, match=r"shape \[32, 32, 3\], channels last; input 'x' needs \[3, 32, 32\]"):
        reshape_samples(torch.zeros(1, 32, 32, 3), (3, 32, 32), "x")
    assert reshape_samples(torch.zeros(2, 8, 8, 1), (1, 8, 8), "x").shape == (2, 1, 8, 8)


def load(path, dag, loss):
    return load_data(DataSpec(npz=path), dag, LOSSES[loss], 0)


def test_maps_are_targets_of_mse_only(write_npz):
    x, y = np.zeros((4, 1, 3, 3)), np.ones((4, 2, 3, 3))
    path = write_npz(x_train=x, y_train=y)
    dag = map_dag((1, 3, 3), 2)
    assert load(path, dag, "mse").train.xy()[1].shape[1:] == (2, 3, 3)
    for loss in ("cross_entropy", "binary_cross_entropy"):
        with pytest.raises(DataError, match=r"output 'y': .* needs an output of shape \[features\]"):
            load(path, dag, loss)
    with pytest.raises(DataError, match=r"shape \[2, 3, 3\] per sample, the output has \[3, 3, 3\]"):
        load(path, map_dag((1, 3, 3), 3), "mse")


def test_targets_that_a_loss_cannot_take(write_npz):
    path = write_npz(x_train=np.zeros((4, 3)), y_train=np.eye(4))
    with pytest.raises(DataError, match=r"one label per sample, not targets of shape \[4\]"):
        load(path, vector_dag(3, 4), "cross_entropy")
    assert load(path, vector_dag(3, 4), "binary_cross_entropy").train.xy()[1].shape[1] == 4
    with pytest.raises(DataError, match=r"targets have shape \[4\] per sample, the output has \[2\]"):
        load(path, vector_dag(3, 2), "mse")
    path = write_npz(x_train=np.zeros((4, 3)), y_train=np.array([-1, 1, 2, 0]))
    with pytest.raises(DataError, match="targets between 0 and 1; these run from -1 to 2"):
        load(path, vector_dag(3, 1), "binary_cross_entropy")
