"""``dagrow init``: the file that it writes passes the check and grows, whatever the columns are called."""

import numpy as np
import pandas as pd
import pytest
from command_tools import command, real_command
from PIL import Image

import dagrow

DRAW = np.random.default_rng(0)
SHORT = (
    "--set",
    "training.final_epochs=1",
    "--set",
    "training.epochs_between_growth=1",
    "--set",
    "growth.budget.steps=1",
)


def table(path, columns, rows):
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(count=120, features=3):
    x = DRAW.normal(size=(count, features)).round(3)
    return x, (x.sum(1) > 0).astype(int)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def grows(file):
    """Passes the check, without advice, and grows."""
    checked = command("check", file)
    assert (checked.code, checked.err) == (0, "")
    assert "advice" not in checked.out
    grown = command("grow", file, "--out", "runs/out", *SHORT)
    assert (grown.code, grown.err) == (0, "")
    return dagrow.load_run(file)


def test_a_table_with_names_of_classes(tmp_path):
    x, y = rows()
    table(
        tmp_path / "flowers.csv",
        ("a", "b", "c", "Species"),
        [(*r, ("no", "yes")[t]) for r, t in zip(x, y, strict=True)],
    )
    done = command("init", "flowers.csv")
    assert (done.code, done.err) == (0, "")
    assert (
        "120 samples of 3 features; learned is the column 'Species' (by its name; --target takes another): 2 classes"
        in done.out
    )
    assert "next: dagrow check run.yaml, dagrow grow run.yaml" in done.out
    run = grows("run.yaml")
    assert (run.name, run.training.loss, run.data.source.target) == ("flowers", "cross_entropy", "Species")
    assert run.growth.schedule == "adaptive"
    assert "# 120 samples of 3 features" in (tmp_path / "run.yaml").read_text()


def test_a_regression_into_another_folder_by_the_real_command(tmp_path):
    (tmp_path / "deep").mkdir()
    x, _ = rows()
    table(tmp_path / "houses.csv", ("rooms", "price", "age"), [(*r[:1], r[1] * 1000, r[2]) for r in x.tolist()])
    done = real_command("init", "houses.csv", "--target", "price", "--out", "deep/first.yaml", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert "(as you say): a number, by squared error" in done.out
    assert "csv: ../houses.csv" in (tmp_path / "deep" / "first.yaml").read_text()
    run = grows("deep/first.yaml")
    assert run.training.loss == "mse"


def test_names_that_yaml_would_take_for_something_else(tmp_path):
    x, y = rows()
    name = 'a "b", {c}: #\x1b'
    file = table(tmp_path / "my, data: 1.csv", ("null", "b", "c", "no"), [(*r, t) for r, t in zip(x, y, strict=True)])
    assert command("init", file.name, "--target", "no").code == 0
    assert dagrow.load_run("run.yaml").data.source.target == "no"
    (tmp_path / "run.yaml").unlink()
    quoted = '"' + name.replace('"', '""') + '"'
    table(tmp_path / "other.csv", ("a", "b", "c", quoted), [(*r, t) for r, t in zip(x, y, strict=True)])
    assert command("init", "other.csv").code == 0
    assert dagrow.load_run("run.yaml").data.source.target == name
    assert (tmp_path / "run.yaml").read_text().replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("shape", "read"), [((6,), [6]), ((8, 8), [1, 8, 8]), ((3, 16, 16), [3, 16, 16]), ((2, 3), [6])]
)
def test_arrays(tmp_path, shape, read):
    x, y = DRAW.normal(size=(80, *shape)).astype("float32"), np.arange(80) % 3
    np.savez(tmp_path / "some.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    assert "with a test set" in command("init", "some.npz").out
    run = grows("run.yaml")
    assert list(run.graph.inputs["x"].shape) == read
    assert run.graph.nodes["y"].size == 3


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_table_of_words_gaps_and_dates(tmp_path, ending):
    x, y = rows(count=80)
    columns = {
        "id": [f"customer {number}" for number in range(80)],
        "a": [None if number % 9 == 0 else value for number, value in enumerate(x[:, 0])],
        "town": [("Ulm", "Bonn")[label] for label in y],
        "code": [str(number % 3) if number % 5 else "A1" for number in range(80)],
        "day": [f"2021-0{1 + number % 9}-01" for number in range(80)],
        "buys": [("no", "yes")[label] for label in y],
    }
    frame = pd.DataFrame(columns)
    if ending == "parquet":
        frame.to_parquet(tmp_path / "some.parquet")
    else:
        frame.to_csv(tmp_path / f"some.{ending}", sep={"csv": ",", "tsv": "\t"}[ending], index=False)
    done = command("init", f"some.{ending}")
    assert (done.code, done.err) == (0, "")
    assert "Column 'id' is left out: it looks like an id or free text" in done.out
    assert "number: a; category: town, code; date: day" in done.out
    run = grows("run.yaml")
    assert run.data.source.types == {"code": "category"}
    assert run.graph.nodes["y"].size == 2


def test_refusals_leave_nothing(tmp_path):
    x, y = rows()
    table(tmp_path / "a.csv", ("a", "b", "c", "y"), [(*r, t) for r, t in zip(x, y, strict=True)])
    table(tmp_path / "text.csv", ("a", "town", "y"), [(1, "Ulm", 0)] * 20)
    np.savez(tmp_path / "odd.npz", x=x)
    assert "no such file" in command("init", "missing.csv").refusal()
    assert "unknown kind of data file '.xls'" in command("init", "a.xls").refusal()
    assert command("init", "a.csv", "--target", "yy").refusal().startswith("a.csv: no column 'yy' (did you mean 'y'?)")
    assert "no column is left to learn from; column 'a' is left out" in command("init", "text.csv").refusal()
    assert "no array 'x_train'" in command("init", "odd.npz").refusal()
    assert command("init", "a.csv", "--out", "no/run.yaml").refusal() == "no/run.yaml: there is no folder no"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "odd.npz", "text.csv"]
    (tmp_path / "run.yaml").write_text("mine\n")
    assert command("init", "a.csv").refusal().startswith("run.yaml is there already")
    assert (tmp_path / "run.yaml").read_text() == "mine\n"


def test_a_table_in_another_encoding(tmp_path):
    lines = [f"{'Köln' if i % 3 else 'Ulm'};{i % 7},5;{'ja' if i % 2 else 'nein'}" for i in range(60)]
    text = "\n".join(["Stadt;Länge;Kündigt", *lines]) + "\n"
    (tmp_path / "kunden.csv").write_text(text, encoding="latin-1")
    done = command("init", "kunden.csv")
    assert (done.code, done.err) == (0, "")
    assert "Numbers have a decimal comma." in done.out
    assert 'target: "Kündigt"' in (tmp_path / "run.yaml").read_text(encoding="utf-8")
    grows("run.yaml")


def image_folders(folder, sizes, names=("cat", "dog"), count=24):
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            height, width = sizes[i % len(sizes)]
            pixels = DRAW.integers(0, 100, size=(height, width, 3)) + 100 * number
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{i}.png")


def test_a_folder_of_class_folders(tmp_path):
    image_folders(tmp_path / "pets", [(8, 10)])
    done = command("init", "pets")
    assert (done.code, done.err) == (0, "")
    assert "48 images without a test set; learned is the folder that each is in: 2 classes, cat, dog." in done.out
    assert "Images have 8 x 10 pixels with 3 channels." in done.out
    run = grows("run.yaml")
    assert run.data.source.path.endswith("pets")
    assert not run.data.source.resize


def test_images_of_several_sizes_in_folders_for_training_and_testing(tmp_path):
    image_folders(tmp_path / "pets" / "train", [(100, 160), (100, 160), (9, 12)])
    image_folders(tmp_path / "pets" / "val", [(20, 20)], count=4)
    done = command("init", "pets", "--out", "pets.yaml")
    assert (done.code, done.err) == (0, "")
    assert "with a test set in 'val'" in done.out
    assert "brought to 40 x 64 pixels with 3 channels (resize); there are 100 x 160, 20 x 20, 9 x 12." in done.out
    text = (tmp_path / "pets.yaml").read_text()
    assert "images: {path: pets/train, test: pets/val, resize: true}" in text


def test_a_folder_without_classes(tmp_path):
    image_folders(tmp_path / "pets", [(8, 8)], names=("cat",), count=2)
    for folder, said in (("pets", "a folder for each class is needed"), ("pets/cat", "0 folders inside it")):
        done = command("init", folder)
        assert done.code == 2
        assert said in done.err
    done = command("init", "pets", "--target", "x")
    assert (done.code, "the class of an image is the folder" in done.err) == (2, True)
