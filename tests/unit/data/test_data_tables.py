"""Tables: how files are read, what columns are taken for, and what becomes of them."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
from data_graphs import two_by_two_dag, vector_dag

from dagrow.data import load_data
from dagrow.data.preprocessing import Preprocessing
from dagrow.errors import DataError
from dagrow.objectives import LOSSES
from dagrow.spec.run import DataSpec

LABELS, NUMBERS, BITS = (LOSSES[name] for name in ("cross_entropy", "mse", "binary_cross_entropy"))


def loaded(path, features, outputs=2, loss=LABELS, target="kind", dag=None, share=0.25, **table):
    spec = DataSpec(table={"path": str(path), "target": target, **table}, test_fraction=share)
    return load_data(spec, dag or vector_dag(features, outputs), loss, seed=0)


def rows_of(count=40):
    """Columns that are numbers, words, truths and dates, some cells empty, and a label."""
    generator = np.random.default_rng(0)
    days = [datetime.date(2022, 1, 1) + datetime.timedelta(days=20 * i) for i in range(count)]
    return {
        "size": [None if i % 9 == 4 else float(x) for i, x in enumerate(generator.normal(1000, 5, count).round(2))],
        "town": [None if i % 10 == 3 else ("Bern", "Zürich", "Genève")[i % 3] for i in range(count)],
        "open": [bool(x) for x in generator.integers(0, 2, count)],
        "day": days,
        "kind": [("small", "large")[i % 2] for i in range(count)],
    }


def write_text(path, columns, separator=",", encoding="utf-8", empty="", decimal="."):
    def text(value):
        found = empty if value is None else str(value)
        return found.replace(".", decimal) if isinstance(value, float) else found

    lines = [separator.join(columns), *(separator.join(map(text, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def reference(columns):
    """The features of `rows_of` for all rows, with the statistics of ``rows``, in plain loops."""

    def of(rows):
        sizes = [columns["size"][i] for i in rows if columns["size"][i] is not None]
        times = [datetime.datetime.combine(d, datetime.time(), datetime.UTC).timestamp() for d in columns["day"]]
        opened = [float(x) for x in columns["open"]]
        mean, day_mean = sum(sizes) / len(sizes), sum(times[i] for i in rows) / len(rows)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in sizes) / len(sizes))
        day_deviation = math.sqrt(sum((times[i] - day_mean) ** 2 for i in rows) / len(rows))
        found = []
        for i in range(len(times)):
            size, town = columns["size"][i], columns["town"][i]
            one = [0.0 if size is None else (size - mean) / deviation, opened[i], (times[i] - day_mean) / day_deviation]
            one += [float(size is None), float(town is None)]
            for period in (7 * 86_400, 365.2425 * 86_400):
                turn = 2 * math.pi * (times[i] / period % 1)
                one += [math.cos(turn), math.sin(turn)]
            one += [float(town == name) for name in ("Bern", "Genève", "Zürich")]
            found.append(one)
        return torch.tensor(found, dtype=torch.float64)

    return of


FILES = {
    "plain.csv": {},
    "german.csv": {"separator": ";", "encoding": "cp1252", "decimal": ","},
    "tabs.tsv": {"separator": "\t", "empty": "NA"},
    "wide.txt": {"separator": "|", "encoding": "utf-16"},
    "marked.csv": {"encoding": "utf-8-sig", "empty": "?"},
}


@pytest.fixture(params=[*FILES, "typed.parquet", "typed.feather"])
def written(request, tmp_path):
    path, columns = tmp_path / request.param, rows_of()
    if request.param in FILES:
        return write_text(path, columns, **FILES[request.param])
    write = pyarrow.parquet.write_table if path.suffix == ".parquet" else pyarrow.feather.write_feather
    write(pa.table(columns), path)
    return path


def test_features_are_those_of_plain_loops_from_any_file(written):
    columns = rows_of()
    split = loaded(written, 12)
    reader = split.preprocessing.reader.read(str(written), ((4,),))
    read = split.preprocessing(*reader.inputs)[0]
    # Which rows are for training is seen by their days, which are all different.
    days, own = read[:, 2].tolist(), split.train.xy()[0]
    rows = [days.index(day) for day in own[:, 2].tolist()]
    assert len(split.train) == 30
    assert len(split.test) == 10
    expected = reference(columns)(rows)
    torch.testing.assert_close(read.double(), expected, rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(own.double(), expected[rows], rtol=1e-5, atol=2e-5)
    assert split.preprocessing.classes == ("large", "small")
    assert [split.preprocessing.classes[y] for y in split.train.targets[0]] == [columns["kind"][i] for i in rows]
    (note,) = [note for note in split.notes if note.startswith("input")]
    assert note == ("input 'x' reads 4 columns as 12 features (number: size; category: town; boolean: open; date: day)")


def test_what_was_found_travels_as_json(tmp_path):
    path = write_text(tmp_path / "t.csv", rows_of())
    split, dag = loaded(path, 12), vector_dag(12, 2)
    again = Preprocessing.from_json(split.preprocessing.to_json(), dag)
    raw = again.reader.read(str(path), ((4,),))
    assert torch.equal(again(*raw.inputs)[0], split.preprocessing(*raw.inputs)[0])
    assert again.reader == split.preprocessing.reader
    assert again.answers == split.preprocessing.answers
    assert raw.unknown == ()


def test_rare_and_unseen_categories_are_other(tmp_path):
    towns = ["a"] * 30 + ["b"] * 20 + ["c"] * 3 + [f"rare{i}" for i in range(7)]
    columns = {"town": towns, "n": [i % 7 for i in range(60)], "kind": [i % 2 for i in range(60)]}
    path = write_text(tmp_path / "t.csv", columns)
    split = loaded(path, 4, max_categories=2)
    (column, _) = split.preprocessing.reader.columns[0]
    assert column.categories == ("a", "b")
    new = write_text(tmp_path / "new.csv", {"town": ["a", "z", "b", ""], "n": [1, 2, 3, 4]})
    rows = split.preprocessing.reader.read(str(new), ((2,),))
    assert split.preprocessing(*rows.inputs)[0][:, 1:].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert rows.notes == (
        "column 'town': 1 row has a category that training rarely or never saw (the first: 'z'), which is read as "
        "'other'",
        "column 'town': 1 row has an empty cell; in training there was none",
    )


def test_what_tells_nothing_is_named_and_left_out(tmp_path):
    count = 40
    columns = {
        "row": range(100, 100 + count),
        "key": [f"k{i:03}" for i in range(count)],
        "same": ["x"] * count,
        "empty": [""] * count,
        "n": [i * i % 11 for i in range(count)],
        "kind": [i % 2 for i in range(count)],
    }
    path = write_text(tmp_path / "t.csv", columns)
    split = loaded(path, 1)
    assert split.preprocessing.columns == ("n",)
    left = [note for note in split.notes if "left out" in note]
    assert left == [
        "column 'row' is left out: it counts the rows (keep: [row] reads it)",
        "column 'key' is left out: it looks like an id or free text (40 different values) (keep: [key] reads it)",
        "column 'empty' is left out: it is empty",
        "column 'same' is left out: it is 'x' in all training rows",
    ]
    assert loaded(path, 2, keep=["row"]).preprocessing.columns == ("row", "n")
    assert loaded(path, 1, drop=["n"], keep="row").preprocessing.columns == ("row",)


def test_groups_stay_together_and_time_goes_on(tmp_path):
    columns = {
        "house": [f"h{i % 8}" for i in range(80)],
        "when": [2 * ((i * 37) % 80) for i in range(80)],
        "n": [float(i) ** 1.5 for i in range(80)],
        "kind": [i % 2 for i in range(80)],
    }
    path = write_text(tmp_path / "t.csv", columns)

    def sides(**split):
        parts = loaded(path, 2, split=split)
        scale = parts.preprocessing.inputs[0].steps[-1]
        numbers = [
            (p.xy()[0][:, -1].double() * scale.scale[-1] + scale.shift[-1]).tolist() for p in (parts.train, parts.test)
        ]
        return [{min(range(80), key=lambda i: abs(columns["n"][i] - n)) for n in side} for side in numbers]

    train, test = sides(group="house")
    houses = [{columns["house"][i] for i in side} for side in (train, test)]
    assert not houses[0] & houses[1]
    assert len(train | test) == 80
    assert len(houses[1]) == 2
    # "house" becomes an input of 8 features where it is kept or not split by; here only "when" and "n" are.
    del columns["house"]
    # Numbers of the rows, which are read where they are the order in time.
    columns["when"] = [value // 2 for value in columns["when"]]
    path = write_text(tmp_path / "t.csv", columns)
    train, test = sides(time="when")
    assert max(columns["when"][i] for i in train) < min(columns["when"][i] for i in test)
    assert len(test) == 20


def test_several_targets(tmp_path):
    columns = {"n": [i % 5 for i in range(40)], "a": [i / 2 for i in range(40)], "b": [i % 3 for i in range(40)]}
    path = write_text(tmp_path / "t.csv", columns)
    both = loaded(path, 1, 2, NUMBERS, target=["a", "b"])
    assert both.train.targets[0].shape == (30, 2)
    assert [answer.columns for answer in both.preprocessing.answers] == [("a", "b")]
    dag = two_by_two_dag((1, 1), (20, 3))
    columns |= {"m": [i % 4 for i in range(40)], "a": [f"a{i % 20:02}" for i in range(40)]}
    path = write_text(tmp_path / "t.csv", columns)
    each = loaded(path, 0, target=["a", "b"], dag=dag, inputs={"a": "n", "b": ["m"]})
    assert [len(answer.classes) for answer in each.preprocessing.answers] == [20, 3]
    assert [x.shape[1] for x in each.train.inputs] == [1, 1]
    yes = write_text(tmp_path / "y.csv", {"n": columns["n"], "a": ["no", "yes"] * 20})
    bits = loaded(yes, 1, 1, BITS, target="a")
    assert set(bits.train.targets[0].flatten().tolist()) == {0.0, 1.0}
    assert bits.preprocessing.classes == ("no", "yes")


def test_a_second_table_to_be_judged_by(tmp_path):
    train = write_text(tmp_path / "a.csv", {"n": range(1, 41, 2), "kind": ["x", "y"] * 10})
    test = write_text(tmp_path / "b.csv", {"kind": ["y", "x", "y"], "n": [5, 6, 7]})
    split = loaded(train, 1, test=str(test), keep="n")
    assert split.test.targets[0].tolist() == [1, 0, 1]
    write_text(test, {"kind": ["z"], "n": [5]})
    with pytest.raises(DataError, match="the test table has the label 'z', which training does not have"):
        loaded(train, 1, test=str(test), keep="n")


def test_rows_without_a_target_are_told(tmp_path):
    path = write_text(tmp_path / "t.csv", {"n": [i % 7 for i in range(20)], "kind": ["", *(["x", "y"] * 9), ""]})
    split = loaded(path, 1)
    assert len(split.train) + len(split.test) == 18
    assert "2 of 20 rows are left out: they have no target" in split.notes


def test_digits_with_a_zero_before_them_are_names(tmp_path):
    columns = {"zip": ["0041", "1200", "3999", "0041"] * 10, "kind": ["x", "y"] * 20}
    split = loaded(write_text(tmp_path / "t.csv", columns), 3)
    assert split.preprocessing.reader.columns[0][0].categories == ("0041", "1200", "3999")
    assert loaded(write_text(tmp_path / "t.csv", columns), 1, types={"zip": "number"}).train.inputs[0].shape[1] == 1


def test_mostly_words_become_categories_with_own_dates(tmp_path):
    columns = {"day": [f"{1 + i % 28:02}.{1 + i % 12:02}.20{10 + i % 9}" for i in range(40)], "kind": ["x", "y"] * 20}
    path = write_text(tmp_path / "t.csv", columns)
    split = loaded(path, 5, date_formats={"day": "%d.%m.%Y"})
    assert split.preprocessing.reader.columns[0][0].entry() == {"format": "%d.%m.%Y"}
    with pytest.raises(DataError, match=r"row 1, column 'day': '01.01.2010' is not a date like 2024-12-31"):
        loaded(path, 5, types={"day": "date"})


WRONG = {
    "no target": ({"target": "kin"}, "no column 'kin' (did you mean 'kind'?); columns: n, word, kind"),
    "no column": ({"drop": ["m"]}, "no column 'm'"),
    "no group": ({"split": {"group": "g"}}, "no column 'g'"),
    "features": (
        {"features": 3},
        "training set: a sample becomes values of shape [1], input 'x' has [3]: write 'x: {shape: [1]}'",
    ),
    "number": ({"types": {"word": "number"}, "features": 2}, "row 1, column 'word': 'w0' is not a number"),
    "boolean": ({"types": {"word": "boolean"}, "features": 2}, "row 1, column 'word': 'w0' is not true or false"),
    "among numbers": (
        {"cells": {"n": ["1", "2", "x", *"4567" * 9, "8"]}},
        "column 'n': 1 of 40 cells are no numbers, the first is 'x' in row 3; name it in 'missing' if it stands for "
        "nothing, or say 'types: {n: category}'",
    ),
    "words to learn": ({"loss": NUMBERS, "outputs": 1}, "row 1, column 'kind': 'x' is not a number; this loss learns"),
    "infinite": ({"cells": {"n": ["inf", *map(str, range(39))]}}, "row 1, column 'n': 'inf' is not finite"),
    "time": ({"split": {"time": "word"}}, "column 'word' is no time to split by (there is 'w0')"),
    "gap in time": (
        {"split": {"time": "n"}, "cells": {"n": ["1", "", *["3"] * 38]}},
        "row 2, column 'n': the cell is empty, and rows are split by it",
    ),
    "one group": ({"split": {"group": "kind"}, "target": "word", "cells": {"kind": ["x"] * 40}}, "there is 1 group"),
    "encoding": ({"encoding": "utf-9"}, "unknown encoding 'utf-9'"),
    "outputs": ({"target": ["kind", "word"]}, "2 columns are to be learned (kind, word), the graph has 1 outputs"),
    "classes": (
        {"target": "word", "features": 3, "cells": {"word": [f"w{i % 20}" for i in range(40)]}},
        "training set: output 'y': labels run from 0 to 19, but the output has 2 features",
    ),
    "nothing left": ({"drop": ["n"]}, "no column is left to learn from"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_one_sentence(tmp_path, name):
    changes, message = WRONG[name]
    changes = {"features": 1, **changes}
    columns = {"n": [i % 7 for i in range(40)], "word": [f"w{i}" for i in range(40)], "kind": ["x", "y"] * 20}
    path = write_text(tmp_path / "t.csv", {**columns, **changes.pop("cells", {})})
    with pytest.raises(DataError) as caught:
        loaded(path, changes.pop("features"), **changes)
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.feather"])
def test_damaged_files_are_one_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"a,kind\n1,x,3\n" if name == "t.csv" else b"PAR1 no table at all")
    with pytest.raises(DataError, match="not a table, or damaged"):
        loaded(path, 1, target="kind")
    with pytest.raises(DataError, match="no such file"):
        loaded(tmp_path / f"other{path.suffix}", 1, target="kind")


def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch):
    path = write_text(tmp_path / "t.csv", rows_of())
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs 'pyarrow': pip install dagrow\[tables\]"):
        loaded(path, 12)
