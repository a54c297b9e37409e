from __future__ import annotations

import pytest
import torch
from data_graphs import shaped_dag, vector_dag
from pydantic import ValidationError

from dagrow.data import DATASETS, load_data
from dagrow.objectives import LOSSES
from dagrow.spec.run import DataSpec

SIZES = {"digits": (64, 10), "wine": (13, 3), "breast_cancer": (30, 2), "iris": (4, 3), "diabetes": (10, 1)}


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_loads(name):
    features, outputs = SIZES[name]
    loss = LOSSES["mse" if name == "diabetes" else "cross_entropy"]
    split = load_data(DataSpec(dataset=name), vector_dag(features, outputs), loss, seed=0)
    x, y = split.train.xy()
    assert x.dtype == torch.float32
    assert x.shape == (len(split.train), features)
    assert y.shape == ((len(split.train), 1) if name == "diabetes" else (len(split.train),))
    assert len(split.test) / (len(split.train) + len(split.test)) == pytest.approx(0.2, abs=0.01)


def test_digits_lie_between_0_and_1_and_may_be_images():
    dag = shaped_dag((1, 8, 8), 10)
    x, _ = load_data(DataSpec(dataset="digits"), dag, LOSSES["cross_entropy"], 0).train.xy()
    assert x.shape[1:] == (1, 8, 8)
    assert (x.min(), x.max()) == (0.0, 1.0)


def test_unknown_name_names_the_nearest():
    with pytest.raises(ValidationError, match=r"data set .digit. \(did you mean 'digits'\?\); allowed: digits, w"):
        DataSpec(dataset="digit")


def test_seeds_beyond_32_bits():
    load_data(DataSpec(dataset="iris"), vector_dag(4, 3), LOSSES["cross_entropy"], 2**63 - 1)
