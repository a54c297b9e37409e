"""What was done to inputs in training is inside of each export, so that raw values go in."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from export_networks import network_of
from zoo import EXPORTING as ZOO
from zoo import graph

from dagrow.data import InputPreprocessing, Preprocessing, Scale
from dagrow.export import EXPORTERS, export_network, model_source
from dagrow.graph import Dag

LONG = "a_name_that_is_longer_than_any_other_one_in_this_file"
CLASSES = ("plain", "it's", 'so "called"', "back\\slash", "Umlaut ä", "line\nbreak", "{x}")


def scale(shift, factor, dtype=torch.float32):
    return Scale(torch.tensor(shift, dtype=dtype), torch.tensor(factor, dtype=dtype))


def dense(inputs, loss="cross_entropy", classes=(), nodes=("y",)):
    """A network of vectors with a preprocessing of each input."""
    edges = {f"{entry.name} -> {node}": "linear" for entry in inputs for node in nodes}
    sizes = {node: {"size": 3} for node in nodes}
    spec = graph({entry.name: list(entry.shape) for entry in inputs}, sizes, edges, nodes)
    return network_of(spec), Preprocessing(tuple(inputs), loss, classes=classes)


def maps():
    spec = graph(
        {"x": [3, 4, 4]},
        {"c": {"size": 2, "flatten": True}, "y": {"size": 3}},
        {"x -> c": {"op": "conv2d", "kernel": 3}, "c -> y": "linear"},
        "y",
    )
    step = scale([[[120.0]], [[90.0]], [[7.0]]], [[[50.0]], [[40.0]], [[torch.inf]]])
    entry = InputPreprocessing("x", (3, 4, 4), torch.uint8, (step,))
    return network_of(spec), Preprocessing((entry,), "cross_entropy", classes=("a", "b", "c"))


def one(dtype, *steps, **more):
    return dense([InputPreprocessing("x", (2,), dtype, steps)], **more)


CASES = {
    "bytes": lambda: one(torch.uint8, scale(0.0, 255.0)),
    "time_stamps": lambda: one(torch.float64, scale([1.7e9, 7.0], [1.5, torch.inf], torch.float64)),
    "as_they_are": lambda: one(torch.float32, classes=CLASSES, loss="mse"),
    "one_class": lambda: one(torch.float32, classes=("only",)),
    "many_classes": lambda: one(torch.float32, classes=tuple(f"class {k}" for k in range(3000))),
    "two_steps": lambda: one(torch.float32, scale(5.0, 2.0), scale([1.0, 2.0], [3.0, 4.0])),
    "maps": maps,
    "several": lambda: dense(
        [
            InputPreprocessing(LONG, (2,), torch.float64, (scale([5.0, 6.0], [3.0, 4.0], torch.float64),)),
            InputPreprocessing(f"{LONG}_2", (2,), torch.uint8, (scale(0.0, 255.0),)),
            InputPreprocessing("values", (3,)),
            InputPreprocessing("classes", (3,), torch.float32, (scale(1.0, 2.0),)),
        ],
        nodes=("y", "network"),
        classes=("a", "b", "c"),
    ),
}


@pytest.mark.share(0.35)
@pytest.mark.parametrize("to", EXPORTERS)
@pytest.mark.parametrize("case", CASES)
def test_raw_values_in_give_answers(case, to, tmp_path):
    if to == "onnx":
        pytest.importorskip("onnxscript")
    network, preprocessing = CASES[case]()
    exported = export_network(network, to, tmp_path / "out", "run", preprocessing)
    run = EXPORTERS[to].load(exported.path)
    generator = torch.Generator().manual_seed(1)
    read = [torch.randn((5, *entry.shape), generator=generator) for entry in preprocessing.inputs]
    raw = [entry.raw(x) for entry, x in zip(preprocessing.inputs, read, strict=True)]
    expected = network(*preprocessing(*raw))
    for found, wanted in zip(run(raw), expected if isinstance(expected, tuple) else (expected,), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_a_constant_feature_has_no_say_in_an_export(tmp_path):
    network, preprocessing = CASES["time_stamps"]()
    rows = torch.tensor([[1.7e9, 7.0], [1.7e9, -1e6]], dtype=torch.float64)
    for to in EXPORTERS:
        if to == "onnx":
            pytest.importorskip("onnxscript")
        (found,) = EXPORTERS[to].load(export_network(network, to, tmp_path / to, "run", preprocessing).path)([rows])
        assert found.isfinite().all()
        assert torch.equal(found[0], found[1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64])
def test_the_class_takes_numbers_of_any_format(dtype, tmp_path):
    for name in ("bytes", "time_stamps", "as_they_are"):
        network, preprocessing = CASES[name]()
        run = EXPORTERS["python"].load(export_network(network, "python", tmp_path / name, name, preprocessing).path)
        rows = torch.tensor([[3, 200], [7, 0]], dtype=dtype)
        torch.testing.assert_close(run([rows])[0], network(*preprocessing(rows)))


def test_names_of_classes_are_in_each_export(tmp_path):
    network, preprocessing = CASES["as_they_are"]()
    export_network(network, "python", tmp_path / "python", "run", preprocessing)
    space = {"__name__": "exported"}
    exec((tmp_path / "python" / "model.py").read_text(encoding="utf-8"), space)
    assert space["Run"].classes == CLASSES
    written = (tmp_path / "python" / "preprocessing.json").read_bytes()
    assert tuple(json.loads(written)["classes"]) == CLASSES
    export_network(network, "pt2", tmp_path / "pt2", "run", preprocessing)
    extra = {"preprocessing.json": ""}
    torch.export.load(tmp_path / "pt2", extra_files=extra)
    assert extra["preprocessing.json"].encode() == written
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    export_network(network, "onnx", tmp_path / "onnx", "run", preprocessing)
    properties = {entry.key: entry.value for entry in onnx.load(tmp_path / "onnx").metadata_props}
    assert tuple(json.loads(properties["classes"])) == CLASSES
    assert properties["preprocessing.json"].encode() == written


def test_sources_are_formatted(tmp_path):
    pytest.importorskip("ruff")
    for name, case in CASES.items():
        network, preprocessing = case()
        source = model_source(network.dag, name, preprocessing)
        assert max(map(len, source.splitlines())) <= 100
        if preprocessing.classes != CLASSES:  # quotes inside of quotes are left as repr has them
            (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    for words in (["format", "--diff"], ["check", "--select", "E,F,I"]):
        command = [sys.executable, "-m", "ruff", *words, "--isolated", "--no-cache", "--line-length", "100"]
        done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_reads_as_a_person_would_write_it():
    entry = InputPreprocessing("x", (6,), torch.uint8, (scale(0.0, 255.0),))
    preprocessing = Preprocessing((entry,), "cross_entropy", classes=("ant", "bee", "cat"))
    assert (
        model_source(Dag.of(ZOO["mlp"]), "first_try", preprocessing)
        == '''"""first_try, grown by dagrow: x [6] -> y [3], 50 parameters.

It reads raw values (uint8), as they were in the training data. Its outputs are logits of the
classes. The names of the labels are FirstTry.classes.

    from safetensors.torch import load_file

    model = FirstTry().eval()
    model.load_state_dict(load_file("weights.safetensors"))
"""

import torch
from torch import nn


class FirstTry(nn.Module):
    classes = ("ant", "bee", "cat")

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("x_shift", torch.ones((), dtype=torch.float32))
        self.register_buffer("x_scale", torch.ones((), dtype=torch.float32))

        self.x_to_h = nn.Linear(6, 5)
        self.h_dropout = nn.Dropout(0.25)

        self.h_to_y = nn.Linear(5, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.float() - self.x_shift
        x = x / self.x_scale
        h = self.h_dropout(torch.selu(self.x_to_h(x)))
        return self.h_to_y(h)
'''
    )


def test_a_network_alone_leaves_no_preprocessing_of_an_earlier_export(tmp_path):
    network, preprocessing = CASES["bytes"]()
    out = tmp_path / "out"
    export_network(network, "python", out, "run", preprocessing)
    (out / "mine.txt").touch()
    export_network(network, "python", out, "run")
    assert {path.name for path in out.iterdir()} == {"model.py", "weights.safetensors", "mine.txt"}
