from __future__ import annotations

import numpy as np
import pytest
import torch
from data_graphs import shaped_dag, vector_dag

from dagrow.data import load_data
from dagrow.data import stored as stored_module
from dagrow.objectives import LOSSES
from dagrow.spec.run import DataSpec

LOSS = LOSSES["cross_entropy"]


def standardized(path, dag):
    return load_data(DataSpec(npz=path, standardize=True), dag, LOSS, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("values_at_once", [2**22, 7])
def test_channels_of_maps(write_npz, monkeypatch, dtype, values_at_once):
    monkeypatch.setattr(stored_module, "_PIECE", values_at_once)
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 50, (8, 3, 4, 4)) * np.array([1, 2, 3])[:, None, None]).astype(dtype)
    y = np.arange(8) % 2
    path = write_npz(x_train=x, y_train=y, x_test=x[:3], y_test=y[:3])
    split = standardized(path, shaped_dag((3, 4, 4), 2))
    over = {"axis": (0, 2, 3), "keepdims": True, "dtype": float}
    expected = (x - x.mean(**over)) / x.std(**over)
    assert split.train.inputs[0].dtype == (torch.uint8 if dtype == np.uint8 else torch.float32)
    for part, count in ((split.train, 8), (split.test, 3)):
        assert part.xy()[0].dtype == torch.float32
        np.testing.assert_allclose(part.xy()[0], expected[:count], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (3, 5)])
def test_features_of_vectors_and_tokens(write_npz, shape):
    x = np.random.default_rng(0).normal(3.0, 2.0, (40, *shape))
    y = np.arange(40) % 2
    train = standardized(write_npz(x_train=x, y_train=y), shaped_dag(shape, 2)).train.xy()[0].reshape(-1, 5)
    torch.testing.assert_close(train.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)


def test_constant_features_become_zero_also_where_the_test_set_differs(write_npz):
    x = np.stack([np.full(6, 0.1), np.arange(6.0)], axis=1)
    other = x + 1
    y = np.arange(6) % 2
    split = standardized(write_npz(x_train=x, y_train=y, x_test=other, y_test=y), vector_dag(2, 2))
    assert not split.train.xy()[0][:, 0].any()
    assert not split.test.xy()[0][:, 0].any()
    assert split.test.xy()[0][:, 1].any()


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_variation_beyond_float32_survives(write_npz, dtype):
    x = (1_700_000_000 + np.arange(6)).astype(dtype).reshape(6, 1)
    y = np.arange(6) % 2
    train = standardized(write_npz(x_train=x, y_train=y, x_test=x, y_test=y), vector_dag(1, 2)).train.xy()[0]
    expected = torch.arange(6.0) - 2.5
    torch.testing.assert_close(train.squeeze(1), expected / expected.std(correction=0))
