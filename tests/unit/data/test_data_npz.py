from __future__ import annotations

import numpy as np
import pytest
import torch
from data_graphs import shaped_dag, two_by_two_dag, vector_dag

from dagrow.data import load_data
from dagrow.data.npz import read_npy
from dagrow.errors import DataError
from dagrow.objectives import LOSSES
from dagrow.spec.run import DataSpec

LOSS = LOSSES["cross_entropy"]
LABELS = np.array([0, 1, 0, 1])


def load(path, dag=None, **spec):
    return load_data(DataSpec(npz=path, **spec), dag or vector_dag(3, 2), LOSS, seed=0)


def test_round_trip_keeps_the_given_split(write_npz):
    rng = np.random.default_rng(0)
    x, x2 = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(2, 3)).astype(np.float32)
    split = load(write_npz(x_train=x, y_train=LABELS, x_test=x2, y_test=LABELS[:2], notes=np.zeros(1)))
    assert torch.equal(split.train.xy()[0], torch.from_numpy(x))
    assert split.train.xy()[1].tolist() == [0, 1, 0, 1]
    assert torch.equal(split.test.xy()[0], torch.from_numpy(x2))


def test_without_a_test_set_a_share_is_taken(write_npz):
    x = np.arange(30.0).reshape(10, 3)
    split = load(write_npz(x_train=x, y_train=np.arange(10) % 2), test_fraction=0.4)
    seen = torch.cat([split.train.xy()[0], split.test.xy()[0]])
    assert len(split.test) == 4
    assert seen[:, 0].sort().values.tolist() == x[:, 0].tolist()


def test_bytes_stay_bytes_and_read_like_floats(write_npz):
    stored = np.random.default_rng(0).integers(0, 256, (4, 6, 6), dtype=np.uint8)
    dag = shaped_dag((1, 6, 6), 2)
    lazy = load(write_npz(x_train=stored, y_train=LABELS, x_test=stored, y_test=LABELS), dag).train
    eager = stored.astype(np.float32) / 255
    eager = load(write_npz(x_train=eager, y_train=LABELS, x_test=eager, y_test=LABELS), dag).train
    assert lazy.inputs[0].dtype == torch.uint8
    assert eager.inputs[0].dtype == torch.float32
    assert torch.equal(lazy.xy()[0], eager.xy()[0])


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float64", ">f4", ">i8", "longdouble"])
def test_every_kind_of_number_is_read(write_npz, dtype):
    x = np.array([[0, 1, 1], [1, 0, 0]] * 2).astype(dtype)
    train = load(write_npz(x_train=np.asfortranarray(x), y_train=LABELS.astype(dtype))).train
    assert train.xy()[0].dtype == torch.float32
    assert set(train.xy()[0].flatten().tolist()) == {0.0, 1.0}


def test_one_x_is_cut_in_the_order_of_the_inputs(write_npz):
    x = np.arange(20, dtype=np.uint8).reshape(4, 5)
    split = load(write_npz(x_train=x, y_train=LABELS, x_test=x, y_test=LABELS), two_by_two_dag())
    (a, b), (p, q) = split.train.xy()
    assert torch.equal(a, torch.from_numpy(x[:, :2]).float() / 255)
    assert torch.equal(b, torch.from_numpy(x[:, 2:]).float() / 255)
    assert torch.equal(p, q)


def test_named_inputs_and_outputs(write_npz):
    path = write_npz(
        a_train=np.zeros((4, 2)),
        b_train=np.ones((4, 3)),
        p_train=LABELS,
        q_train=LABELS + 2,
        a_test=np.zeros((2, 2)),
        b_test=np.ones((2, 3)),
        y_test=LABELS[:2],
    )
    split = load(path, two_by_two_dag())
    (a, b), (p, q) = split.train.xy()
    assert (a.shape, b.shape) == ((4, 2), (4, 3))
    assert (q - p).tolist() == [2, 2, 2, 2]


X = np.zeros((4, 3))
BAD = {
    "missing": ({"X_train": X, "y_train": LABELS}, r"no array 'x_train' \(did you mean 'X_train'\?\); there"),
    "no y_test": ({"x_train": X, "y_train": LABELS, "x_test": X}, "no array 'y_test'"),
    "misspelt test": ({"x_train": X, "y_train": LABELS, "X_test": X, "Y_test": LABELS}, "no array 'x_test'"),
    "empty file": ({}, "no array 'x_train'; there are none"),
    "objects": ({"x_train": np.array([{}, 1]), "y_train": LABELS}, "'x_train' holds Python objects"),
    "text": ({"x_train": X, "y_train": np.array(list("abcd"))}, "'y_train' holds <U1, not numbers"),
    "complex": ({"x_train": X * 1j, "y_train": LABELS}, "'x_train' holds complex128"),
    "scalar": ({"x_train": np.array(1.0), "y_train": LABELS}, "'x_train' is a single number"),
    "counts": ({"x_train": X, "y_train": LABELS[:3]}, "different numbers of samples: 4 of x, 3 of y"),
    "empty": ({"x_train": X[:0], "y_train": LABELS[:0]}, "there are no samples"),
    "empty test": (
        {"x_train": X, "y_train": LABELS, "x_test": X[:0], "y_test": LABELS[:0]},
        "test set: there are no samples",
    ),
    "shape": (
        {"x_train": np.zeros((4, 2, 2)), "y_train": LABELS},
        r"a sample has shape \[2, 2\] \(4 values\), input 'x' needs \[3\] \(3 values\)",
    ),
    "no values": ({"x_train": np.zeros((4, 0)), "y_train": LABELS}, r"a sample has shape \[0\] \(0 values\)"),
    "nan": (
        {"x_train": np.where(np.arange(12).reshape(4, 3) > 6, np.nan, 0), "y_train": LABELS},
        r"inputs: 5 values are NaN, infinite or too large for float32, the first in sample 2 \(from 0\)",
    ),
    "too large": ({"x_train": X + 1e300, "y_train": LABELS}, "12 values are NaN, infinite or too large"),
    "nan target": ({"x_train": X, "y_train": [0, 1, np.nan, 0]}, "targets: 1 value is NaN"),
    "labels": (
        {"x_train": X, "y_train": LABELS + 1},
        "output 'y': labels run from 1 to 2, but the output has 2 features: labels must lie in 0..1",
    ),
    "test labels": (
        {"x_train": X, "y_train": LABELS, "x_test": X, "y_test": -LABELS},
        "test set: output 'y': labels run from -1 to 0",
    ),
    "fractions": ({"x_train": X, "y_train": LABELS / 2}, "these have fractions"),
    "rare class": ({"x_train": X, "y_train": [0, 0, 0, 1]}, "class 1 has 1 sample"),
    "bytes in one": (
        {"x_train": X, "y_train": LABELS, "x_test": X.astype(np.uint8), "y_test": LABELS},
        "so both must be bytes or neither",
    ),
}


@pytest.mark.parametrize(("arrays", "message"), BAD.values(), ids=BAD)
def test_bad_arrays(write_npz, arrays, message):
    path = write_npz(**arrays)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_several_inputs_that_do_not_fit(write_npz):
    path = write_npz(x_train=np.zeros((4, 6)), y_train=LABELS)
    with pytest.raises(DataError, match=r"6 values\), the inputs 'a' \[2\], 'b' \[3\] need 5 together"):
        load(path, two_by_two_dag())
    path = write_npz(x_train=np.zeros((4, 0)), y_train=LABELS)
    with pytest.raises(DataError, match=r"\(0 values\), the inputs"):
        load(path, two_by_two_dag())
    path = write_npz(a_train=np.zeros((4, 2)), b_train=np.zeros((3, 3)), y_train=LABELS)
    with pytest.raises(DataError, match="different numbers of samples: 3 and 4 of x, 4 of y"):
        load(path, two_by_two_dag())
    path = write_npz(a_train=np.zeros((4, 2)), c_train=np.zeros((3, 3)), y_train=LABELS)
    with pytest.raises(DataError, match="no array 'b_train'"):
        load(path, two_by_two_dag())


def test_not_an_npz_file(tmp_path, write_npz):
    def refused(path, message):
        with pytest.raises(DataError, match=message) as caught:
            load(str(path))
        assert str(caught.value).startswith(f"{path}: ".replace("\0", "?"))

    refused(tmp_path / "absent.npz", "no such file")
    refused(tmp_path, "cannot be read")
    refused("a\0b", "cannot be read")
    other = tmp_path / "other.npz"
    for content in (b"", b"hello", b"PK\x03\x04 broken", b"\x80\x04pickle"):
        other.write_bytes(content)
        refused(other, "not an .npz file")
    np.save(tmp_path / "one.npy", X)
    refused(tmp_path / "one.npy", "holds one array")


def test_a_damaged_member(tmp_path, write_npz):
    path = write_npz(x_train=np.zeros((100, 3)), y_train=np.zeros(100, dtype=int))
    content = bytearray((tmp_path / "file.npz").read_bytes())
    content[400] ^= 0xFF
    (tmp_path / "file.npz").write_bytes(content)
    with pytest.raises(DataError, match="'x_train' cannot be read, the file is damaged"):
        load(path)


@pytest.mark.parametrize(
    "head", [b"", b"(", b"(\0", b"{'descr': '<f8'}", b"{'descr': '|O', 'fortran_order': False, 'shape': ()}"]
)
def test_arrays_whose_head_says_nonsense(tmp_path, head):
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head + bytes(64))
    with pytest.raises(DataError, match="damaged|Python objects"):
        read_npy(str(tmp_path / "x.npy"))
