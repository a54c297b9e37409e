from __future__ import annotations

import pytest
import torch
from data_graphs import two_by_two_dag, vector_dag

from dagrow.data import load_data
from dagrow.errors import DataError
from dagrow.objectives import LOSSES
from dagrow.spec.run import DataSpec

NUMBERS = ["a,kind,b", "1,0,2", "3,1,4", "5,0,6", "7,1,8"]


def load(path, dag=None, loss="cross_entropy", target="kind", **spec):
    return load_data(DataSpec(csv=path, target=target, **spec), dag or vector_dag(2, 2), LOSSES[loss], seed=0)


def rows(split):
    (x, y), (x2, y2) = split.train.xy(), split.test.xy()
    pairs = zip(torch.cat([x, x2]).tolist(), torch.cat([y, y2]).flatten().tolist(), strict=True)
    return sorted((*values, target) for values, target in pairs)


def test_round_trip(write_csv):
    split = load(write_csv(*NUMBERS))
    assert rows(split) == [(1, 2, 0), (3, 4, 1), (5, 6, 0), (7, 8, 1)]
    assert split.train.xy()[1].dtype == torch.int64
    assert sorted(split.test.xy()[1].tolist()) == [0, 1]


def test_a_measured_target(write_csv):
    split = load(write_csv("a,b,v", "1,2,0.5", "", " 3 ,4e0,-1"), vector_dag(2, 1), "mse", "v")
    assert rows(split) == [(1, 2, 0.5), (3, 4, -1)]


def test_text_labels_are_numbered_in_sorted_order(write_csv):
    lines = ["a,b,kind", "1,1,dog", "2,2,cat", "3,3,dog", '4,4,"cat"']
    assert rows(load(write_csv(*lines))) == [(1, 1, 1), (2, 2, 0), (3, 3, 1), (4, 4, 0)]
    split = load(write_csv(*lines), vector_dag(2, 1), "binary_cross_entropy")
    assert split.train.xy()[1].dtype == torch.float32


def test_a_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("\ufeff".encode() + "\r\n".join(["kind,a,b", "0,1,2", "0,3,4", ""]).encode())
    assert rows(load(str(path))) == [(1, 2, 0), (3, 4, 0)]


def test_columns_are_cut_over_several_inputs(write_csv):
    lines = ["a,b,c,d,e,kind", *(f"{i},1,2,3,4,{i % 2}" for i in range(6))]
    (a, b), (p, q) = load(write_csv(*lines), two_by_two_dag()).train.xy()
    assert (a.shape[1], b.shape[1]) == (2, 3)
    assert b[0].tolist() == [2, 3, 4]
    assert torch.equal(p, q)


BAD = {
    "no target": (["a,kinds", "1,0"], r"no column 'kind' \(did you mean 'kinds'\?\); columns: a, kinds"),
    "semicolons": (["a;kind", "1;0"], "cells are separated by commas"),
    "twice": (["a,a,kind", "1,1,0"], "two columns are called 'a'"),
    "nameless": ([",a,kind", "0,1,0"], "column 1 has no name"),
    "only target": (["kind", "0"], "no column beside the target 'kind'"),
    "no samples": (["a,b,kind"], "a header but no samples"),
    "blank": (["", ""], "the file is empty"),
    "text": (["a,b,kind", "1,2,0", "1,red,0"], "line 3, column 'b': 'red' is not a number"),
    "empty cell": (["a,b,kind", "1, ,0"], "line 2, column 'b': the cell is empty"),
    "empty label": (["a,b,kind", "1,1,"], "line 2, column 'kind': the cell is empty"),
    "short": (["a,b,kind", "1,1,0", "1,1"], "line 3 has 2 cells, the header has 3"),
    "quote": (["a,b,kind", '1,1,"x'], "not a table"),
    "nan": (["a,b,kind", "1,1,0", "1,nan,0"], r"1 value is NaN.* the first in sample 1 \(from 0\)"),
    "mixed": (
        ["a,b,kind", "1,1,0", "1,1,?"],
        r"line 3, column 'kind': '\?' is not a number, but other labels are",
    ),
    "classes": (
        ["a,b,kind", "1,1,x", "1,1,y", "1,1,z"],
        r"labels run from 0 to 2, but the output has 2 features.*\(3 classes were found: 'x', 'y', 'z'\)",
    ),
    "features": (["a,kind", "1,0"], r"a sample has shape \[1\] \(1 values\), input 'x' needs \[2\]"),
}


@pytest.mark.parametrize(("lines", "message"), BAD.values(), ids=BAD)
def test_bad_tables(write_csv, lines, message):
    path = write_csv(*lines)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_text_is_no_target_of_a_regression(write_csv):
    with pytest.raises(DataError, match="'x' is not a number; this loss learns numbers"):
        load(write_csv("a,b,kind", "1,1,x"), loss="mse")


def test_not_a_table(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load(str(tmp_path / "absent.csv"))
    for unreadable in (str(tmp_path), "a\0b"):
        with pytest.raises(DataError, match="cannot be read"):
            load(unreadable)
    path = tmp_path / "bytes.csv"
    path.write_bytes(b"a,kind\n\xff\xfe,0\n")
    with pytest.raises(DataError, match="not a text file in UTF-8"):
        load(str(path))
    path.write_bytes(b"")
    with pytest.raises(DataError, match="the file is empty"):
        load(str(path))
