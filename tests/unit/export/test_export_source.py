"""The generated source as text: names, layout, and what may stand in it."""

from __future__ import annotations

import ast
import importlib.util
import random
import re
import subprocess
import sys

import pytest
import torch
from export_networks import network_of, random_graph
from tolerances import rounding
from torch import nn
from zoo import EXPORTING as ZOO
from zoo import graph

from dagrow.errors import ExportError
from dagrow.export import export_network, exported_keys, model_source
from dagrow.export.identifiers import Identifiers, class_name, plain_title
from dagrow.export.layout import tidy
from dagrow.graph import Dag
from dagrow.ops import ACTIVATIONS, Activation

needs_ruff = pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")


def ruff(folder, *arguments):
    command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "--no-cache", "--line-length", "100"]
    return subprocess.run([*command, str(folder)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The zoo, and many graphs with names of all lengths."""
    folder = tmp_path_factory.mktemp("sources")
    draw = random.Random(7)
    graphs = {**ZOO, **{f"random_{k}": random_graph(draw) for k in range(150)}}
    for name, spec in graphs.items():
        (folder / f"{name}.py").write_text(model_source(Dag.of(spec), name), encoding="utf-8")
    return folder


def test_no_line_is_long(sources):
    for file in sources.iterdir():
        assert max(map(len, file.read_text().splitlines())) <= 100, file


@needs_ruff
def test_formatted_as_ruff_would(sources):
    result = ruff(sources, "format", "--diff")
    assert result.returncode == 0, result.stdout[:4000] + result.stderr[-500:]


@needs_ruff
def test_ruff_finds_nothing(sources):
    result = ruff(sources, "check", "--select", "E,F,I")
    assert result.returncode == 0, result.stdout[:4000]


def test_reads_as_a_person_would_write_it():
    assert (
        model_source(Dag.of(ZOO["mlp"]), "first_try")
        == '''"""first_try, grown by dagrow: x [6] -> y [3], 50 parameters."""

import torch
from torch import nn


class FirstTry(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.x_to_h = nn.Linear(6, 5)
        self.h_dropout = nn.Dropout(0.25)

        self.h_to_y = nn.Linear(5, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.h_dropout(torch.selu(self.x_to_h(x)))
        return self.h_to_y(h)
'''
    )


def test_layers_arguments_and_values_have_names_of_their_own():
    tree = ast.parse(model_source(Dag.of(ZOO["nasty_names"]), "x"))
    init, forward = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    layers = [
        node.attr for node in ast.walk(init) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    ]
    values = {node.id for node in ast.walk(forward) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    arguments = {argument.arg for argument in forward.args.args}
    assert len(layers) == len(set(layers)) == 25
    assert not set(layers) & (values | arguments | set(dir(nn.Module())))
    assert not values & (arguments | {"torch", "nn", "self"})
    assert {"a_to_b_to_c", "x_norm"} < arguments


def test_each_key_has_one_place():
    dag = Dag.of(ZOO["nasty_names"])
    keys = list(network_of(ZOO["nasty_names"]).state_dict())
    found = exported_keys(dag, keys)
    assert list(found) == keys
    assert len(set(found.values())) == len(keys)
    with pytest.raises(ExportError, match="stray"):
        exported_keys(dag, ["stray.layer.weight"])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("digits", "Digits"),
        ("digits_v2", "DigitsV2"),
        ("my run-3.1", "MyRun31"),
        ("MLP", "MLP"),
        ("3d", "Net3d"),
        ("none", "NoneNetwork"),
        ("true", "TrueNetwork"),
        ("o", "ONetwork"),
        ("", "Network"),
        ("été", "T"),
        ("x(nn.Module):\n    import os #", "XNnModuleImportOs"),
        ("a" * 500, "A" + "a" * 43),
    ],
)
def test_class_name(name, wanted):
    assert class_name(name) == wanted
    assert wanted.isidentifier()


@pytest.mark.parametrize(
    "name", ['"""\nimport os\n"""', "\\", '"', "a\rb\x00c", "\N{LINE SEPARATOR}x = 1", "{}", "", "🦉"]
)
def test_a_name_stays_a_name(name):
    source = model_source(Dag.of(ZOO["mlp"]), name)
    tree = ast.parse(source)
    assert [type(node) for node in tree.body] == [ast.Expr, ast.Import, ast.ImportFrom, ast.ClassDef]
    assert source.isascii()
    assert "grown by dagrow" in source.splitlines()[0]
    assert plain_title(name)


def test_identifiers_are_numbered_and_short():
    names = Identifiers(("taken",))
    assert [names.add("taken"), names.add("taken"), names.add("l"), names.add("self")] == [
        "taken_2",
        "taken_3",
        "l_2",
        "self",
    ]
    assert [names.add("abcdefgh", 6), names.add("abcdefgi", 6)] == ["abcdef", "abcd_2"]


def test_tidy():
    assert tidy(" nn.Linear( 3,\n 4,bias = False ) ") == "nn.Linear(3, 4, bias=False)"
    assert tidy("nn.Conv1d(1, 2, 3, padding='same')") == 'nn.Conv1d(1, 2, 3, padding="same")'
    for text in ("", "a = 1", "nn.Linear(3, 4)\nimport os", "nn.Linear(3", "a; b"):
        with pytest.raises(SyntaxError):
            tidy(text)


def test_a_very_wide_sum_is_cut():
    nodes = {f"h{k}": {"size": 2} for k in range(1500)}
    edges = {f"x -> {h}": "linear" for h in nodes} | {f"{h} -> y": "linear" for h in nodes}
    dag = Dag.of(graph({"x": [2]}, {**nodes, "y": {"size": 2}}, edges, "y"))
    source = model_source(dag, "wide")
    assert len(re.findall(r"_to_y\(", source)) == 1500
    ast.parse(source)


def test_an_activation_without_a_call_becomes_a_layer(monkeypatch, tmp_path):
    learned = Activation("learned", nn.functional.relu, nn.PReLU, "nn.PReLU()")
    monkeypatch.setitem(ACTIVATIONS, "learned", learned)
    spec = graph(
        {"x": [3]},
        {"h": {"size": 2, "activation": "learned"}, "y": {"size": 2}},
        {"x -> h": "linear", "h -> y": "linear"},
        "y",
    )
    network = network_of(spec)
    exported = export_network(network, "python", tmp_path / "out")
    text = (exported.path / "model.py").read_text()
    assert "self.h_activation = nn.PReLU()" in text
    assert exported.max_difference < rounding(torch.float32)
    assert torch.equal(network.state_dict()["h.activation.weight"], network.h.activation.weight)
