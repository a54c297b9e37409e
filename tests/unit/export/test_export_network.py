"""The road all exports share: what it leaves alone, refuses and cleans up."""

from __future__ import annotations

import copy
import os
import random
import sys
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from export_networks import network_of
from safetensors.torch import load_file
from tolerances import rounding
from torch import nn
from zoo import EXPORTING as ZOO
from zoo import graph

from dagrow.build import build
from dagrow.errors import ExportError
from dagrow.export import EXPORTERS, export_network
from dagrow.export import staging as staging_module
from dagrow.ops import Op, register_op
from dagrow.registry import rollback_on_error

MLP = ZOO["mlp"]


@pytest.fixture
def network():
    return network_of(MLP)


@pytest.fixture
def ops():
    """A table of ops that is put back at the end."""
    with rollback_on_error() as restore:
        yield
        restore()


class Doubling(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((size,), 2.0))

    def forward(self, x):
        return self.gain * x


class UserOp(Op):
    """Reads and writes vectors of one size."""

    bias: bool = False

    def output_shape(self, source, size):
        return (*source[:-1], source[-1] if size is None else size)

    def module(self, source, target):
        return nn.Linear(source[-1], target[-1], bias=self.bias)

    def export_line(self, source, target):
        return f"nn.Linear({source[-1]},{target[-1]}, bias = {self.bias})"

    def parameter_count(self, source, target):
        return source[-1] * target[-1]

    def multiply_adds(self, source, target):
        return source[-1] * target[-1]


def user_network(op):
    nodes = {"h": {"size": 3, "activation": "relu"}, "y": {"size": 3}}
    return build(graph({"x": [3]}, nodes, {"x -> h": op, "h -> y": op}, "y"), seed=0)


def leftovers(folder):
    return [path.name for path in folder.rglob("*") if path.name.endswith(".part")]


@pytest.mark.parametrize("to", EXPORTERS)
def test_the_network_is_left_alone(network, tmp_path, to):
    network.train()
    network.h.from_x.weight.requires_grad_(False)
    loss = network(torch.ones(2, 6)).sum()
    loss.backward()
    before = copy.deepcopy(network)
    grads = {name: None if p.grad is None else p.grad.clone() for name, p in network.named_parameters()}
    pointers = [value.data_ptr() for value in network.parameters()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    export_network(network, to, tmp_path / "out")
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]
    assert all(module.training for module in network.modules())
    assert pointers == [value.data_ptr() for value in network.parameters()]
    for (name, now), then in zip(network.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(now, then), name
        assert now.requires_grad == then.requires_grad, name
        assert (now.grad is None) == (grads[name] is None)
        assert now.grad is None or torch.equal(now.grad, grads[name])
    assert network.spec == MLP


@pytest.mark.share(0.35)
@pytest.mark.parametrize("to", EXPORTERS)
def test_an_earlier_export_is_replaced(network, tmp_path, to):
    out = tmp_path / "new" / "folder" / "out"
    first = export_network(network, to, out, "first")
    content = [file.read_bytes() for file in first.files]
    with torch.no_grad():
        network.y.from_h.weight.mul_(2)
    second = export_network(network, to, str(out), "first")
    assert second.files == first.files
    assert [file.read_bytes() for file in second.files][-1] != content[-1]
    assert os.listdir(out.parent) == ["out"]


@pytest.mark.parametrize("to", EXPORTERS)
def test_what_is_not_ours_is_refused(network, tmp_path, to):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("import torch\n")
    folder.mkdir()
    (folder / "model.py").write_text("mine = 1\n")
    for out in (file, folder):
        with pytest.raises(ExportError, match=f"exists and is not an earlier {to} export"):
            export_network(network, to, out)
    assert file.read_text() == "import torch\n"
    assert os.listdir(folder) == ["model.py"]


def test_exports_of_another_kind_are_refused(zoo_export, network, tmp_path):
    for to in EXPORTERS:
        path = zoo_export("mlp", to).exported.path
        for other in EXPORTERS:
            if other != to:
                with pytest.raises(ExportError, match="exists"):
                    export_network(network, other, path)


def test_other_files_in_the_folder_stay(network, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    export_network(network, "python", out)
    (out / "notes.txt").write_text("mine")
    export_network(network, "python", out)
    assert sorted(os.listdir(out)) == ["model.py", "notes.txt", "weights.safetensors"]


def test_unknown_form(network, tmp_path):
    with pytest.raises(ExportError, match=r"unknown export 'onx' \(did you mean 'onnx'\?\); allowed: python, pt2"):
        export_network(network, "onx", tmp_path / "out")


@pytest.mark.share(0.35)
@pytest.mark.parametrize("to", EXPORTERS)
def test_a_difference_leaves_nothing(network, tmp_path, monkeypatch, to):
    exporter = EXPORTERS[to]
    load = exporter.load

    def off(path):
        run = load(path)
        return lambda inputs: tuple(output + 1e-3 for output in run(inputs))

    monkeypatch.setattr(exporter, "load", off)
    with pytest.raises(ExportError, match="output 'y' differs by"):
        export_network(network, to, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_network_that_left_its_spec_is_refused(network, tmp_path):
    network.h.activation = nn.ReLU()
    with pytest.raises(ExportError, match="differs"):
        export_network(network, "python", tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_network_that_answers_nan_is_refused(network, tmp_path):
    with torch.no_grad():
        network.h.from_x.weight.fill_(float("nan"))
    with pytest.raises(ExportError, match="NaN"):
        export_network(network, "python", tmp_path / "out")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("place", "step"), [(staging_module, "write_new_file"), (os, "replace")])
@pytest.mark.parametrize("to", ["python", "pt2"])
def test_a_full_disk(network, tmp_path, monkeypatch, to, place, step):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(place, step, full)
        with pytest.raises(ExportError, match=r"out: cannot be written: No space left on device"):
            export_network(network, to, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_parent_that_is_a_file(network, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written"):
        export_network(network, "python", tmp_path / "file" / "out")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_the_extra_is_named(network, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExportError, match=r"needs the extra: pip install dagrow\[onnx\]"):
        export_network(network, "onnx", tmp_path / "out")


def test_float64_becomes_float32(tmp_path):
    network = network_of(ZOO["conv_net"]).double()
    exported = export_network(network, "python", tmp_path / "out")
    weights = load_file(exported.path / "weights.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32, torch.int64}
    assert next(network.parameters()).dtype == torch.float64


@pytest.mark.parametrize("to", EXPORTERS)
def test_other_defaults_do_not_matter(network, tmp_path, to):
    torch.set_default_dtype(torch.float64)
    try:
        export_network(network, to, tmp_path / "out")
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("to", EXPORTERS)
def test_silent(network, tmp_path, capfd, to):
    export_network(network, to, tmp_path / "out")
    assert capfd.readouterr() == ("", "")


def test_a_user_op(ops, tmp_path):
    @register_op
    class Scaled(UserOp):
        name: ClassVar[str] = "scaled"
        op: Literal["scaled"] = "scaled"

    for to in EXPORTERS:
        exported = export_network(user_network("scaled"), to, tmp_path / to)
        assert exported.max_difference < rounding(torch.float32)
    assert "self.x_to_h = nn.Linear(3, 3, bias=False)" in (tmp_path / "python" / "model.py").read_text()


def test_a_user_layer_goes_where_its_line_works(ops, tmp_path):
    @register_op
    class Foreign(UserOp):
        name: ClassVar[str] = "foreign"
        op: Literal["foreign"] = "foreign"

        def module(self, source, target):
            return Doubling(target[-1])

        def export_line(self, source, target):
            return f"my_package.Doubling({target[-1]})"

    network = user_network("foreign")
    with pytest.raises(ExportError, match=r"edge x -> h, op 'foreign': .* torch alone .*NameError"):
        export_network(network, "python", tmp_path / "python")
    assert os.listdir(tmp_path) == []
    export_network(network, "pt2", tmp_path / "pt2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nn.Linear(3, 3)\nimport os", "not a Python expression"),
        ("print", "makes no nn.Module"),
        ("nn.Linear(3, 3)", "do not fit"),
        ("nn.Linear(3, 4, bias=False)", "do not fit"),
        ("nn.Bilinear(3, 3, 3, bias=False)", "do not fit"),
        ("nn.Sequential(nn.Flatten(), nn.Linear(3, 3, bias=False))", "do not fit"),
    ],
)
def test_a_user_line_that_is_wrong(ops, tmp_path, line, message):
    @register_op
    class Wrong(UserOp):
        name: ClassVar[str] = "wrong"
        op: Literal["wrong"] = "wrong"

        def export_line(self, source, target):
            return line

    with pytest.raises(ExportError, match=message):
        export_network(user_network("wrong"), "python", tmp_path / "python")
    assert os.listdir(tmp_path) == []


def test_nothing_is_left_in_sys_modules(network, tmp_path):
    before = set(sys.modules)
    export_network(network, "python", tmp_path / "out")
    assert not [name for name in set(sys.modules) - before if "out" in name or "export_" in name]
    assert not leftovers(tmp_path)
