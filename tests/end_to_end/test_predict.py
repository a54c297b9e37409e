"""From raw values to answers: training, ``predict`` and every export say the same, in the user's words and units."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_tools import command, unsealed
from tolerances import assert_same_function

import dagrow

RUN = """\
graph:
  inputs: {{x: {{shape: {shape}}}}}
  nodes: {{h: {{size: 2, activation: relu{flatten}}}, y: {{size: {outputs}}}}}
  edges: {{x -> h: linear, h -> y: linear}}
  outputs: [y]
data: {{{data}}}
training: {{optimizer: {{name: adam, lr: 0.05}}, loss: {loss}, {more}epochs_between_growth: 1, final_epochs: 3}}
growth: {{neurons: 1, budget: {{steps: 1}}}}
"""


@dataclass(frozen=True)
class Case:
    """A run that has ended.

    Attributes:
        folder: of its files; the run directory is ``run``.
        result: of the run.
        raw: test samples as a user has them, ``[samples, ...]``.
        dtype: number format of the exports' input.
        classes: names of the labels.
    """

    folder: Path
    result: dagrow.GrowthResult
    raw: np.ndarray
    dtype: Any
    classes: tuple[str, ...] = ()

    @property
    def run(self) -> Path:
        return self.folder / "run"


def grown(folder, data, outputs=2, shape="[3]", loss="cross_entropy", flatten="", more=""):
    folder.mkdir()
    text = RUN.format(data=data, outputs=outputs, shape=shape, loss=loss, flatten=flatten, more=more)
    (folder / "run.yaml").write_text(text)


def draw(samples=60):
    """Far from 0, of different sizes, one feature constant."""
    generator = np.random.default_rng(0)
    labels = np.arange(samples) % 2
    x = (generator.standard_normal((samples, 3)) + 2 * labels[:, None]) * [1, 200, 0] + [7, 5000, 3]
    return x, labels


def write_table(path, x, target, header="a,b,c,kind"):
    path.write_text(
        "\n".join([header, *(f"{a!r},{b!r},{c!r},{t}" for (a, b, c), t in zip(x.tolist(), target, strict=True))]) + "\n"
    )


def standardized(folder):
    x, labels = draw()
    x = x.astype(np.float32)
    grown(folder, "npz: data.npz, standardize: true")
    np.savez(folder / "data.npz", x_train=x[:40], y_train=labels[:40], x_test=x[40:], y_test=labels[40:])
    return x[40:], np.float32, ()


def images(folder):
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 2
    x = np.clip(generator.integers(0, 120, (60, 2, 3)) + 90 * labels[:, None, None], 0, 255).astype(np.uint8)
    grown(folder, "npz: data.npz", shape="[2, 3]", flatten=", flatten: true")
    np.savez(folder / "data.npz", x_train=x[:40], y_train=labels[:40], x_test=x[40:], y_test=labels[40:])
    return x[40:], np.uint8, ()


def named(folder):
    x, labels = draw()
    grown(folder, "csv: data.csv, target: kind, standardize: true")
    write_table(folder / "data.csv", x, np.array(["birch", "cedar"])[labels])
    return x, np.float64, ("birch", "cedar")


def regression(folder):
    x, labels = draw()
    grown(folder, "csv: data.csv, target: kind, standardize: true", 1, loss="mse", more="standardize_targets: true, ")
    write_table(folder / "data.csv", x, 1e4 + 300 * labels + x[:, 0])
    return x, np.float64, ()


def plain(folder):
    x, labels = draw()
    grown(folder, "csv: data.csv, target: kind")
    write_table(folder / "data.csv", x / 100, labels)
    return x / 100, np.float32, ()


CASES = {"standardized": standardized, "images": images, "named": named, "regression": regression, "plain": plain}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    made = {}

    def make(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("cases") / name
            raw, dtype, classes = CASES[name](folder)
            made[name] = Case(folder, dagrow.grow(folder / "run.yaml", out=folder / "run"), raw, dtype, classes)
        return made[name]

    return make


def answers_of(table):
    return list(csv.DictReader(io.StringIO(table)))


def run_export(to, path, raw):
    if to == "pt2":
        return torch.export.load(path).module()(torch.from_numpy(raw))
    if to == "onnx":
        import onnxruntime

        return torch.from_numpy(onnxruntime.InferenceSession(path).run(None, {"x": raw})[0])
    spec = importlib.util.spec_from_file_location("exported_model", path / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    from safetensors.torch import load_file

    model = module.Run()
    model.load_state_dict(load_file(path / "weights.safetensors"))
    return model.eval()(torch.from_numpy(raw))


@pytest.mark.share(0.42)
@pytest.mark.parametrize("name", CASES)
def test_training_predict_and_every_export_agree_on_raw_values(case, name, tmp_path):
    made = case(name)
    # What training computed: the scores of the run are those of these outputs.
    split = dagrow.data.load_data(
        dagrow.load_run(made.folder / "run.yaml").data,
        made.result.model.dag,
        made.result.preprocessing.objective,
        seed=0,
    )
    read, target = split.test.xy()
    trained = made.result.model(read).detach()
    loss = float(split.preprocessing.objective.mean(trained, target))
    assert loss == pytest.approx(made.result.test.loss, rel=1e-4)
    # The same samples as they are in the file.
    own = made.result.preprocessing(torch.from_numpy(made.raw))[0]
    rows = [int((own == sample).flatten(1).all(1).nonzero()[0, 0]) for sample in read]
    raw = made.raw[rows]
    predicted = dagrow.load_model(made.run).predict(raw)
    assert torch.equal(predicted.outputs, made.result.predict(torch.from_numpy(raw)).outputs)
    assert_same_function(predicted.outputs, trained)
    for to in ("python", "pt2", "onnx"):
        if to == "onnx":
            pytest.importorskip("onnxscript")
        dagrow.export(made.run, to=to, out=tmp_path / to)
        assert_same_function(run_export(to, tmp_path / to, raw.astype(made.dtype)), trained)
    np.save(tmp_path / "rows.npy", raw)
    outcome = command("predict", made.run, tmp_path / "rows.npy")
    assert (outcome.code, outcome.err) == (0, "")
    found = answers_of(outcome.out)
    assert len(found) == len(raw)
    column = "kind" if made.result.preprocessing.columns else "y"
    if made.result.test.accuracy is None:
        assert set(found[0]) == {column}
        torch.testing.assert_close(
            torch.tensor([float(row[column]) for row in found]), trained[:, 0], rtol=1e-5, atol=0
        )
        assert min(float(row[column]) for row in found) > 100
    else:
        labels = trained.argmax(1).tolist()
        assert [row[column] for row in found] == [made.classes[k] if made.classes else str(k) for k in labels]
        shares = torch.tensor([float(row[f"{column}_probability"]) for row in found])
        torch.testing.assert_close(shares, trained.softmax(1).max(1).values, rtol=1e-5, atol=0)


def test_columns_go_by_their_names(case, tmp_path):
    made = case("named")
    expected = command("predict", made.run, made.folder / "data.csv").out
    assert {row["kind"] for row in answers_of(expected)} <= {"birch", "cedar"}
    lines = list(csv.reader(io.StringIO((made.folder / "data.csv").read_text())))
    turned = [[line[2], f"n{number}", line[1], line[0]] for number, line in enumerate(lines)]
    turned[0][1] = "id"
    (tmp_path / "new.csv").write_text("\n".join(map(",".join, turned)) + "\n")
    outcome = command("predict", made.run, tmp_path / "new.csv", "--out", tmp_path / "out.csv")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'out.csv'}: 60 predictions\n")
    assert outcome.err == f"{tmp_path / 'new.csv'}: not read, since training did not know them: id\n"
    assert (tmp_path / "out.csv").read_text() == expected


def test_arrays_by_their_names(case, tmp_path):
    made = case("standardized")
    for arrays in ({"x": made.raw}, {"x_test": made.raw, "x_train": made.raw[:1]}, {"x_train": made.raw, "y": [1]}):
        np.savez(tmp_path / "new.npz", **arrays)
        assert len(answers_of(command("predict", made.run, tmp_path / "new.npz").out)) == len(made.raw)


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("new.csv", ["a,b", "1,2"], "no column 'c'; the network reads a, b, c"),
        ("new.csv", ["a,b,cc,kind", "1,2,3,x"], "no column 'c' (did you mean 'cc'?); the network reads a, b, c"),
        ("new.csv", ["a,b,c", "1,two,3"], "line 2, column 'b': 'two' is not a number; inputs must be"),
        ("new.csv", ["a,b,c", "1,,3"], "line 2, column 'b': the cell is empty"),
        ("new.csv", ["a,b,c", "1,2"], "line 2 has 2 cells, the header has 3"),
        ("new.csv", ["a,b,c,c", "1,2,3,4"], "two columns are called 'c'"),
        ("new.csv", ["a,b,c", "1,nan,3"], "inputs: 1 value is NaN"),
        ("new.csv", ["a,b,c"], "the table has a header but no samples"),
        ("new.csv", [], "the file is empty"),
        ("new.txt", ["1,2,3"], "unknown kind of file '.txt'; allowed: .csv, .npz, .npy"),
        ("new.npy", ["1,2,3"], "not an .npy file"),
        ("new.npz", ["1,2,3"], "not an .npz file"),
    ],
)
def test_files_that_do_not_fit(case, tmp_path, name, lines, message):
    (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    refusal = command("predict", case("named").run, tmp_path / name, "--out", tmp_path / "out.csv").refusal()
    assert refusal.startswith(f"{tmp_path / name}: {message}")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.ones((2, 3))}, "none of the arrays 'x', 'x_test', 'x_train'; there are y"),
        ({"x": np.ones((2, 4))}, "a sample has shape [4] (4 values), input 'x' needs [3] (3 values)"),
        ({"x": np.ones((0, 3))}, "there are no samples"),
        ({"x": np.array([["a", "b", "c"]])}, "'x' holds <U1, not numbers"),
        ({"x": np.array([[1, None, 3]])}, "'x' holds Python objects, which are never loaded"),
    ],
)
def test_arrays_that_do_not_fit(case, tmp_path, arrays, message):
    np.savez(tmp_path / "new.npz", **arrays)
    refusal = command("predict", case("standardized").run, tmp_path / "new.npz").refusal()
    assert refusal.startswith(f"{tmp_path / 'new.npz'}: {message}")
    if "x" in arrays:
        np.save(tmp_path / "new.npy", arrays["x"])
        told = command("predict", case("standardized").run, tmp_path / "new.npy").refusal()
        message = message.replace("'x' holds P", "holds P").replace("'x' holds <", "'array' holds <")
        assert told.startswith(f"{tmp_path / 'new.npy'}: {message}")


def test_what_else_is_told(case, tmp_path):
    made, file = case("named"), case("named").folder / "data.csv"
    assert command("predict", tmp_path, file).refusal().startswith(f"{tmp_path} is not a complete run directory")
    assert command("predict", made.run, tmp_path / "none.csv").refusal() == f"{tmp_path / 'none.csv'}: no such file"
    told = command("predict", made.run, file, "--out", tmp_path).refusal()
    assert told == f"{tmp_path}: cannot be written: is a folder, not a file"
    told = command("predict", case("standardized").run, file).refusal()
    assert "whose columns have no names; give an .npz or .npy file" in told
    for rows, message in (([[1.0, 2.0]], "a sample has shape"), ([[1.0], [1.0, 2.0]], "not equally long")):
        with pytest.raises(dagrow.DataError, match=message):
            made.result.predict(rows)
    with pytest.raises(dagrow.DataError, match="2 arrays were given; the network reads x"):
        made.result.predict(made.raw, made.raw)


def test_a_run_of_an_earlier_version(case, tmp_path):
    import shutil

    made = case("standardized")
    old = unsealed(Path(shutil.copytree(made.run, tmp_path / "old")))
    (old / "preprocessing.json").unlink()
    for to in ("python", "pt2"):
        dagrow.export(old, to=to, out=tmp_path / to)
        read = made.result.preprocessing(torch.from_numpy(made.raw))[0]
        assert_same_function(run_export(to, tmp_path / to, read.numpy()), made.result.model(read))
    assert sorted(path.name for path in (tmp_path / "python").iterdir()) == ["model.py", "weights.safetensors"]
    np.save(tmp_path / "rows.npy", made.raw)
    assert "has no preprocessing.json" in command("predict", old, tmp_path / "rows.npy").refusal()
    with pytest.raises(dagrow.RunError, match="grow it again"):
        dagrow.grow(old, resume=True).predict(made.raw)


def test_a_network_grown_without_a_directory(case, tmp_path):
    made = case("images")
    result = dagrow.grow(made.folder / "run.yaml", write=False)
    dagrow.export(result.model, to="pt2", out=tmp_path / "model.pt2", preprocessing=result.preprocessing)
    assert_same_function(run_export("pt2", tmp_path / "model.pt2", made.raw), result.predict(made.raw).outputs)


def test_a_continued_and_a_reverted_run_keep_it(case, tmp_path):
    made = case("named")
    dagrow.revert(made.run, 0, tmp_path / "again")
    content = (made.run / "preprocessing.json").read_bytes()
    assert (tmp_path / "again" / "preprocessing.json").read_bytes() == content
    (tmp_path / "again" / "preprocessing.json").unlink()  # as an earlier version would have left it
    result = dagrow.grow(tmp_path / "again", resume=True)
    assert (tmp_path / "again" / "preprocessing.json").read_bytes() == content
    assert (tmp_path / "again" / "exported" / "preprocessing.json").read_bytes() == content
    assert result.predict(made.raw).answers.tolist() == made.result.predict(made.raw).answers.tolist()


def test_another_networks_preprocessing_is_refused(case, tmp_path):
    import shutil

    run = unsealed(Path(shutil.copytree(case("named").run, tmp_path / "run")))
    entry = json.loads((run / "preprocessing.json").read_text())
    entry["inputs"][0]["name"] = "z"
    del entry["sha256"]
    (run / "preprocessing.json").write_text(json.dumps(entry))
    for words in (("predict", run, case("named").folder / "data.csv"), ("export", run, "--out", tmp_path / "out")):
        assert command(*words).refusal().startswith(f"{run / 'preprocessing.json'}: it belongs to another graph")


def test_exported_folders_need_no_dagrow(case, tmp_path):
    made = case("named")
    np.save(tmp_path / "rows.npy", made.raw)
    code = f"""
import sys
sys.modules["dagrow"] = None
import numpy, torch
from safetensors.torch import load_file
sys.path.insert(0, {str(made.run / "exported")!r})
from model import Run
model = Run().eval()
model.load_state_dict(load_file({str(made.run / "exported" / "weights.safetensors")!r}))
labels = model(torch.from_numpy(numpy.load("rows.npy"))).argmax(1)
print(*(Run.classes[label] for label in labels))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == made.result.predict(made.raw).answers.tolist(), done.stderr


def test_several_outputs(tmp_path):
    (tmp_path / "run.yaml").write_text(
        "graph:\n  inputs: {a: {shape: [2]}, b: {shape: [1]}}\n  nodes: {p: {size: 1}, q: {size: 1}}\n"
        "  edges: {a -> p: linear, b -> p: linear, a -> q: linear}\n  outputs: [p, q]\n"
        "data: {npz: data.npz, standardize: true}\n"
        "training: {loss: binary_cross_entropy, epochs_between_growth: 1, final_epochs: 1}\n"
        "growth: {budget: {steps: 1}}\n"
    )
    x, labels = draw()
    np.savez(tmp_path / "data.npz", x_train=x, y_train=labels)
    result = dagrow.grow(tmp_path / "run.yaml", out=tmp_path / "run")
    with pytest.raises(dagrow.DataError, match=r"several outputs \(p, q\): use predict_outputs"):
        result.predict(x)
    for given in ((x,), (x[:, :2], x[:, 2:])):
        p, q = result.trained_model().predict_outputs(*given)
        assert torch.equal(p.labels, (p.outputs > 0).long())
        torch.testing.assert_close(q.probabilities, (1 / (1 + (-q.outputs.abs()).exp())))
    outcome = command("predict", tmp_path / "run", tmp_path / "data.npz")
    assert list(answers_of(outcome.out)[0]) == ["p", "p_probability", "q", "q_probability"]
