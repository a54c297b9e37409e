"""Data that cannot be used: one clear error, and no half-made run directory."""

from pathlib import Path

import numpy as np
import pytest
from command_tools import command, settings

import dagrow
from dagrow.runs import RunDirectory

RUN = """\
graph:
  inputs: {x: {shape: [4]}}
  nodes: {h: {size: 2, activation: relu}, y: {size: 3}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: y
data: {npz: data.npz}
training: {batch_size: 8, final_epochs: 1}
growth: {budget: {steps: 1}}
"""
CSV = "a,b,c,d,label\n" + "".join(f"{i},{i % 7},{-i},{i * i},{i % 3}\n" for i in range(30))


def arrays() -> dict[str, np.ndarray]:
    """Data that are in order."""
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 3
    x = generator.standard_normal((40, 4)).astype(np.float32) + labels[:, None]
    return {"x_train": x[:30], "y_train": labels[:30], "x_test": x[30:], "y_test": labels[30:]}


def changed(name: str, row: int, value: float) -> dict[str, np.ndarray]:
    found = arrays()
    found[name] = found[name].astype(np.float32)
    found[name][row, ...] = value
    return found


def save_one_array(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))


def without(*names: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in arrays().items() if name not in names}


BAD = {
    "nan": (
        changed("x_train", 7, np.nan),
        "training set: inputs: 4 values are NaN, infinite or too large for float32, the first in sample 7 (from 0)",
    ),
    "inf": (changed("x_test", 2, np.inf), "test set: inputs: 4 values are NaN, infinite or too large for float32"),
    "nan_label": (changed("y_train", 3, np.nan), "training set: targets: 1 value is NaN"),
    "too_large": (
        {**arrays(), "x_train": np.full((30, 4), 1e300)},
        "training set: inputs: 120 values are NaN, infinite",
    ),
    "wrong_shape": (
        {**arrays(), "x_train": np.zeros((30, 5))},
        "training set: a sample has shape [5] (5 values), input 'x' needs [4] (4 values)",
    ),
    "wrong_test_shape": (
        {**arrays(), "x_test": np.zeros((10, 2, 3))},
        "test set: a sample has shape [2, 3] (6 values)",
    ),
    "label_too_high": (
        changed("y_train", 0, 3),
        "output 'y': labels run from 0 to 3, but the output has 3 features: labels must lie in 0..2",
    ),
    "label_negative": (changed("y_test", 0, -1), "test set: output 'y': labels run from -1 to 2"),
    "label_fraction": (changed("y_train", 0, 0.5), "cross_entropy takes whole-number labels"),
    "labels_of_two_columns": ({**arrays(), "y_train": np.zeros((30, 2))}, "cross_entropy takes one label per sample"),
    "empty": ({**arrays(), "x_train": np.zeros((0, 4)), "y_train": np.zeros(0)}, "training set: there are no samples"),
    "empty_test": ({**arrays(), "x_test": np.zeros((0, 4)), "y_test": np.zeros(0)}, "test set: there are no samples"),
    "counts_differ": (
        {**arrays(), "y_train": arrays()["y_train"][:29]},
        "different numbers of samples: 30 of x, 29 of y",
    ),
    "no_labels": (without("y_train"), "no array 'y_train'"),
    "no_inputs": (without("x_train"), "no array 'x_train'"),
    "no_test_labels": (without("y_test"), "no array 'y_test'"),
    "misspelt": ({**without("x_train"), "xtrain": arrays()["x_train"]}, "no array 'x_train' (did you mean 'xtrain'?)"),
    "text": ({**arrays(), "y_train": np.array(["a"] * 30)}, "'y_train' holds <U1, not numbers"),
    "objects": ({**arrays(), "y_train": np.array([{}] * 30, dtype=object)}, "'y_train' holds Python objects"),
    "complex": ({**arrays(), "x_train": np.zeros((30, 4), dtype=complex)}, "'x_train' holds complex128, not numbers"),
}


@pytest.fixture
def run_file(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "run.yaml"
    file.write_text(RUN)
    return file


def refusal(run_file: Path, *more: str) -> str:
    """The message; nothing but what was there before lies in the folder afterwards."""
    before = sorted(run_file.parent.rglob("*"))
    outcome = command("grow", run_file, *more)
    assert outcome.out == ""
    assert sorted(run_file.parent.rglob("*")) == before
    message = outcome.refusal()
    assert "\n" not in message
    return message


def test_the_data_would_be_fine(run_file):
    np.savez(run_file.with_name("data.npz"), **arrays())
    assert command("grow", run_file, "--out", "made").code == 0
    assert RunDirectory(Path("made")).weights.is_file()


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays(run_file, name):
    stored, text = BAD[name]
    np.savez(run_file.with_name("data.npz"), **stored)
    message = refusal(run_file, "--out", "new")
    assert message.startswith(f"{run_file.parent}/data.npz: ")
    assert text in message


@pytest.mark.parametrize("out", [(), ("--out", "deep/down/below")])
def test_no_directory_is_made_anywhere(run_file, out):
    np.savez(run_file.with_name("data.npz"), **BAD["nan"][0])
    assert "NaN" in refusal(run_file, *out)


def test_a_directory_that_exists_stays_as_it_is(run_file):
    np.savez(run_file.with_name("data.npz"), **arrays())
    assert command("grow", run_file, "--out", "first").code == 0
    contents = {file: file.read_bytes() for file in Path("first").rglob("*") if file.is_file()}
    np.savez(run_file.with_name("data.npz"), **BAD["inf"][0])
    Path("empty").mkdir()
    for out in ("first", "empty"):
        assert "infinite" in refusal(run_file, "--out", out)
    assert contents == {file: file.read_bytes() for file in Path("first").rglob("*") if file.is_file()}
    assert list(Path("empty").iterdir()) == []


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda file: None, "data.npz: no such file"),
        (lambda file: file.write_bytes(b"PK\x03\x04 but no archive"), "data.npz: not an .npz file"),
        (lambda file: file.write_bytes(b""), "data.npz: not an .npz file"),
        (lambda file: file.mkdir(), "data.npz: cannot be read (is a folder, not a file)"),
        (lambda file: np.zeros(3).dump(file), "data.npz: not an .npz file"),
        (lambda file: save_one_array(file), "data.npz: holds one array"),
    ],
    ids=["missing", "damaged", "empty", "folder", "pickle", "npy"],
)
def test_bad_files(run_file, make, text):
    make(run_file.with_name("data.npz"))
    assert text in refusal(run_file)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("label\n", "lable\n", "no column 'label' (did you mean 'lable'?)"),
        ("3,3,-3,9,0\n", "3,3,-3,9\n", "line 5 has 4 cells, the header has 5"),
        ("3,3,-3,9,0\n", "3,3,,9,0\n", "line 5, column 'c': the cell is empty"),
        ("3,3,-3,9,0\n", "3,many,-3,9,0\n", "line 5, column 'b': 'many' is not a number"),
        ("3,3,-3,9,0\n", "3,nan,-3,9,0\n", "inputs: 1 value is NaN, infinite or too large"),
        ("3,3,-3,9,0\n", "3,3,-3,9,5\n", "labels run from 0 to 5, but the output has 3 features"),
        ("3,3,-3,9,0\n", "3,3,-3,9,?\n", "line 5, column 'label': '?' is not a number, but other labels are"),
        (CSV, "a,b,c,d,label\n", "the table has a header but no samples"),
        (CSV, "", "the file is empty"),
    ],
)
def test_bad_tables(run_file, old, new, text):
    assert old in CSV
    run_file.with_name("table.csv").write_text(CSV.replace(old, new, 1))
    run_file.write_text(RUN.replace("{npz: data.npz}", "{csv: table.csv, target: label}"))
    message = refusal(run_file)
    assert message.startswith(f"{run_file.parent}/table.csv: ")
    assert text in message


def test_data_that_do_not_fit_the_loss(run_file):
    np.savez(run_file.with_name("data.npz"), **arrays())
    message = refusal(run_file, *settings(training__loss="mse"))
    assert "output 'y': targets have shape [1] per sample, the output has [3]" in message
    message = refusal(run_file, *settings(training__loss="binary_cross_entropy"))
    assert "output 'y': targets have shape [1] per sample" in message


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        (
            {"training__optimizer__betas": "[2, 3]"},
            "the optimizer adam refuses its options: Invalid beta parameter",
        ),
        ({"training__optimizer__differentiable": "true"}, "the optimizer adam refuses its options: "),
        ({"training__optimizer__weight_decay": "true"}, "the optimizer adam refuses its options: "),
        (
            {"graph__nodes__h__norm": "batch", "training__batch_size": 1},
            "norm 'batch' of 'h' needs batches of at least 2",
        ),
    ],
)
def test_training_that_cannot_begin(run_file, entries, text):
    np.savez(run_file.with_name("data.npz"), **arrays())
    assert text in refusal(run_file, *settings(**entries))


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        (
            {"training__optimizer__lr": 10},
            "the training loss became inf: the learning rate 10 may be too high",
        ),
        (
            {"training__optimizer__lr": 10, "training__epochs_between_growth": 0},
            "the training loss became inf: ",
        ),
    ],
    ids=["before_growth", "at_the_end"],
)
def test_a_run_that_explodes_can_be_read(run_file, entries, text):
    run_file.write_text(
        RUN.replace("[4]", "[10]").replace("size: 3", "size: 1").replace("{npz: data.npz}", "{dataset: diabetes}")
    )
    long = settings(training__loss="mse", training__optimizer__name="sgd", training__final_epochs=20)
    outcome = command("grow", run_file, "--out", "exploded", *long, *settings(**entries))
    assert text in outcome.refusal()
    check_readable()


def test_a_last_step_that_explodes(run_file):
    """The loss before it was finite still."""
    found = {name: array.astype(np.float64) for name, array in arrays().items()}
    np.savez(run_file.with_name("data.npz"), **{name: array * 1e16 for name, array in found.items()})
    run_file.write_text(RUN.replace("size: 3", "size: 1"))
    once = settings(training__loss="mse", training__optimizer="{name: sgd, lr: 1000000}", training__batch_size=30)
    outcome = command("grow", run_file, "--out", "exploded", *once, *settings(growth__budget__steps=0))
    # inf or nan: how the last sum overflows depends on the processor.
    assert outcome.refusal().replace("inf", "nan") == (
        "the training loss ended at nan: the learning rate 1e+06 may be too high; "
        "the last good state is that of epoch 0, growth step 0, in exploded"
    )
    check_readable()


def check_readable() -> None:
    assert "start" in command("log", "exploded").out
    directory = RunDirectory.existing("exploded")
    assert dagrow.load_graph(directory.graph).outputs == ("y",)
    assert all(bool(weight.isfinite().all()) for weight in directory.load().parameters())
