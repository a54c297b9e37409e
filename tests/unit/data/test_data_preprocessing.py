"""What is done to inputs: written down, read back, applied to raw values as it was in training."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from data_graphs import shaped_dag, two_by_two_dag, vector_dag

from dagrow.data import Preprocessing, load_data
from dagrow.errors import DataError
from dagrow.objectives import LOSSES
from dagrow.spec.run import DataSpec

LABELS = np.arange(8) % 2


def loaded(dag, loss="cross_entropy", **spec):
    return load_data(DataSpec(**spec), dag, LOSSES[loss], 0)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64])
def test_raw_values_become_those_of_training(write_npz, dtype, standardize):
    x = (np.random.default_rng(0).integers(0, 200, (8, 3, 2, 2)) + (0 if dtype == np.uint8 else 10_000)).astype(dtype)
    x[:, 1] = 7  # constant
    path, dag = write_npz(x_train=x, y_train=LABELS, x_test=x + 1, y_test=LABELS), shaped_dag((3, 2, 2), 2)
    split = loaded(dag, npz=path, standardize=standardize)
    again = Preprocessing.from_json(split.preprocessing.to_json(), dag)
    for part, raw in ((split.train, x), (split.test, x + 1)):
        for preprocessing in (split.preprocessing, again):
            assert torch.equal(preprocessing(torch.from_numpy(raw))[0], part.xy()[0])
    (entry,) = again.inputs
    read = torch.randn(5, 3, 2, 2)
    for given in (entry.raw(read), entry.raw(read).double()):
        assert entry(given).dtype == torch.float32
        assert entry(given).isfinite().all()
    assert entry.raw(read).dtype == entry.dtype
    if standardize and dtype == np.float64:
        torch.testing.assert_close(entry(entry.raw(read))[:, [0, 2]], read[:, [0, 2]])


def test_names_of_a_table(write_csv):
    path = write_csv("b,kind,a", *[f"{k},{'birch' if k % 2 else 'cedar'},{k}" for k in range(8)])
    dag = vector_dag(2, 2)
    for found in (
        made := loaded(dag, csv=path, target="kind").preprocessing,
        Preprocessing.from_json(made.to_json(), dag),
    ):
        assert (found.columns, found.target, found.classes) == (("b", "a"), "kind", ("birch", "cedar"))
        assert found.loss == "cross_entropy"


def test_data_sets_have_units_and_names():
    found = loaded(vector_dag(64, 10), dataset="digits").preprocessing
    assert torch.equal(found(torch.full((1, 64), 8.0))[0], torch.full((1, 64), 0.5))
    assert found.classes == tuple("0123456789")
    assert loaded(vector_dag(4, 3), dataset="iris").preprocessing.classes == ("setosa", "versicolor", "virginica")
    assert "alcohol" in loaded(vector_dag(13, 3), dataset="wine").preprocessing.columns
    assert loaded(vector_dag(10, 1), "mse", dataset="diabetes").preprocessing.classes == ()


def test_several_inputs(write_npz):
    a, b = np.random.default_rng(0).normal(5.0, 2.0, (2, 8, 2))
    arrays = {"a_train": a.astype(np.float32), "b_train": (b * 9).astype(np.uint8), "y_train": LABELS}
    dag = two_by_two_dag((2, 2))
    split = loaded(dag, npz=write_npz(**arrays), standardize=True)
    assert [(entry.name, entry.dtype) for entry in split.preprocessing.inputs] == [
        ("a", torch.float32),
        ("b", torch.uint8),
    ]
    with pytest.raises(DataError, match="belongs to another graph"):
        Preprocessing.from_json(split.preprocessing.to_json(), vector_dag(2, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: entry.update(target="d", sha256="0" * 64), "its checksum does not fit"),
        (lambda entry: entry.update(version=2), "version 2 of the format; this dagrow reads 1"),
        (lambda entry: entry["inputs"][0]["steps"][0].update(kind="scal"), r"did you mean 'scale'\?"),
        (lambda entry: entry["inputs"][0]["steps"][0].update(shift=[1.0, 2.0, 3.0]), "damaged"),
        (lambda entry: entry["inputs"][0]["steps"][0].update(scale=[0.0, 1.0]), "a scale above 0"),
        (lambda entry: entry["inputs"][0]["steps"][0].update(scale="1"), "damaged"),
        (lambda entry: entry["inputs"][0].update(dtype="object"), "damaged"),
        (lambda entry: entry.update(columns=["a"]), "names 1 columns, the graph reads 2 values"),
        (lambda entry: entry.update(classes="ab"), "a list of names is needed"),
        (lambda entry: entry.update(classes=["\ud800", "b"]), "damaged"),
        (lambda entry: entry.pop("loss"), "damaged"),
    ],
)
def test_damaged_files_are_refused(write_csv, change, message):
    path = write_csv("a,b,c", *[f"{k},{k * k},{k % 2}" for k in range(8)])
    dag = vector_dag(2, 2)
    entry = json.loads(loaded(dag, csv=path, target="c", standardize=True).preprocessing.to_json())
    del entry["sha256"]
    change(entry)
    with pytest.raises(DataError, match=message):
        Preprocessing.from_json(json.dumps(entry).encode(), dag)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"null", b"[" * 100_000])
def test_what_is_no_preprocessing_is_refused(content):
    with pytest.raises(DataError, match="damaged"):
        Preprocessing.from_json(content, vector_dag(2, 2))
