from __future__ import annotations

from math import prod

import numpy as np
import pytest
import torch
from data_graphs import map_dag, series_dag, token_dag, vector_dag
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


def test_maps_are_targets_in_the_shape_of_the_output(write_npz):
    x, y = np.zeros((4, 1, 3, 3)), np.ones((4, 2, 3, 3))
    path = write_npz(x_train=x, y_train=y)
    for loss in ("mse", "binary_cross_entropy"):
        assert load(path, map_dag((1, 3, 3), 2), loss).train.xy()[1].shape[1:] == (2, 3, 3)
        with pytest.raises(DataError, match=r"shape \[2, 3, 3\] per sample, the output has \[3, 3, 3\]"):
            load(path, map_dag((1, 3, 3), 3), loss)
    with pytest.raises(DataError, match=r"one label per pixel of \[3, 3\], not targets of shape \[2, 3, 3\]"):
        load(path, map_dag((1, 3, 3), 2), "cross_entropy")


@pytest.mark.parametrize("shape", [(4, 3, 3), (4, 1, 3, 3)])
def test_a_label_for_each_pixel(write_npz, shape):
    labels = np.arange(36, dtype=np.uint8).reshape(shape) % 3
    path = write_npz(x_train=np.zeros((4, 1, 3, 3)), y_train=labels, x_test=np.zeros((4, 1, 3, 3)), y_test=labels)
    y = load(path, map_dag((1, 3, 3), 3), "cross_entropy").train.xy()[1]
    assert torch.equal(y, torch.from_numpy(labels).long().reshape(4, 3, 3))
    with pytest.raises(DataError, match="labels run from 0 to 2, but the output has 2 features"):
        load(path, map_dag((1, 3, 3), 2), "cross_entropy")
    for loss in ("mse", "binary_cross_entropy"):
        path = write_npz(x_train=np.zeros((4, 1, 3, 3)), y_train=labels.clip(max=1))
        assert load(path, map_dag((1, 3, 3), 1), loss).train.xy()[1].shape[1:] == (1, 3, 3)


@pytest.mark.parametrize("shape", [(4, 5), (4, 1, 5)])
def test_a_label_for_each_point_of_a_series(write_npz, shape):
    """Its channels are the classes, where those of tokens would be their features."""
    labels = np.arange(20, dtype=np.uint8).reshape(shape) % 3
    x = np.random.default_rng(0).normal(size=(4, 2, 5)) * np.array([1.0, 9.0])[:, None]
    path = write_npz(x_train=x, y_train=labels, x_test=x, y_test=labels)
    y = load(path, series_dag((2, 5), 3), "cross_entropy").train.xy()[1]
    assert torch.equal(y, torch.from_numpy(labels).long().reshape(4, 5))
    scaled = load_data(DataSpec(npz=path, standardize=True), series_dag((2, 5), 3), LOSSES["cross_entropy"], 0)
    torch.testing.assert_close(scaled.train.xy()[0].std((0, 2), correction=0), torch.ones(2))
    with pytest.raises(DataError, match=r"shape \[5, 2\], channels last; input 'x' needs \[2, 5\], channels first"):
        load(write_npz(x_train=x.swapaxes(1, 2), y_train=labels), series_dag((2, 5), 3), "cross_entropy")


def test_tokens_are_no_targets_of_yes_and_no(write_npz):
    path = write_npz(x_train=np.zeros((4, 2, 3)), y_train=np.zeros((4, 2, 5)))
    assert load(path, token_dag((2, 3), 5), "mse").train.xy()[1].shape[1:] == (2, 5)
    with pytest.raises(DataError, match=r"output 'y': .* needs an output of shape \[features\] or \[channels"):
        load(path, token_dag((2, 3), 5), "binary_cross_entropy")
    with pytest.raises(DataError, match=r"output 'y': cross_entropy takes one label per token of \[2\]"):
        load(path, token_dag((2, 3), 5), "cross_entropy")


def test_right_answers_by_sample_and_by_pixel():
    maps = torch.zeros(2, 3, 2, 2)
    maps[0, 1], maps[1, 2] = 1, 1
    labels = torch.tensor([[[1, 1], [1, 0]], [[2, 0], [0, 0]]])
    right = LOSSES["cross_entropy"].correct
    assert right(maps, labels).tolist() == [0.75, 0.25]
    assert right(maps[:, :, 0, 1], labels[:, 0, 1]).tolist() == [1, 0]
    bits = LOSSES["binary_cross_entropy"].correct
    assert bits(2 * maps - 1, maps).tolist() == [1, 1]
    assert bits(2 * maps[:, 1:2] - 1, (labels == 1).float().unsqueeze(1)).tolist() == [0.75, 1]


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
