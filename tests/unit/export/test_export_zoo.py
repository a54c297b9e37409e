"""Every graph of the zoo through every way out; and the files alone, where dagrow cannot be imported."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import textwrap

import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from tolerances import FORWARD, assert_same_function, rounding
from zoo import EXPORTING as ZOO
from zoo import example_of

from dagrow.build import Network
from dagrow.export import EXPORTERS


def answers(network: Network, batch: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Inputs, and what a copy of the network in eval mode makes of them."""
    generator = torch.Generator().manual_seed(11)
    inputs = [example_of(entry, batch, generator, torch.float32) for entry in network.spec.inputs.values()]
    with torch.no_grad():
        outputs = copy.deepcopy(network).eval()(*inputs)
    return inputs, [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)


@pytest.mark.share(0.35)
@pytest.mark.parametrize("to", EXPORTERS)
@pytest.mark.parametrize("name", ZOO)
def test_comes_back_equal(zoo_export, name, to):
    exported = zoo_export(name, to).exported
    assert exported.max_difference < rounding(torch.float32, times=2 * FORWARD)
    assert all(file.is_file() for file in exported.files)
    assert {path for path in exported.path.rglob("*") if path.is_file()} <= set(exported.files)
    assert [path for path in exported.path.parent.iterdir() if path.name.startswith(".")] == []


SCRIPT = textwrap.dedent(
    """
    import importlib.util, io, json, pathlib, sys
    sys.modules["dagrow"] = None
    import torch
    from safetensors.torch import load_file
    folder, checked = pathlib.Path(sys.argv[1]), 0
    for name, paths in json.loads((folder / "paths.json").read_text()).items():
        saved = load_file(folder / f"{name}.safetensors")
        inputs = [saved[f"input{i}"] for i in range(len(saved)) if f"input{i}" in saved]
        wanted = [saved[f"output{i}"] for i in range(len(saved)) if f"output{i}" in saved]
        spec = importlib.util.spec_from_file_location("model", paths["python"] + "/model.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        [made] = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, torch.nn.Module)]
        model = made()
        model.load_state_dict(load_file(paths["python"] + "/weights.safetensors"))
        forms = [model.eval(), torch.export.load(paths["pt2"]).module()]
        for form in forms:
            with torch.no_grad():
                outputs = form(*inputs)
            outputs = [outputs] if isinstance(outputs, torch.Tensor) else outputs
            assert len(outputs) == len(wanted)
            for found, expected in zip(outputs, wanted):
                allowed = float(sys.argv[2]) * float(expected.abs().max())
                torch.testing.assert_close(found, expected, rtol=0, atol=allowed)
            checked += 1
    print(checked)
    """
)


def test_files_need_no_dagrow(zoo_export, tmp_path):
    paths = {}
    for name in ZOO:
        paths[name] = {to: str(zoo_export(name, to).exported.path) for to in ("python", "pt2")}
        inputs, outputs = answers(zoo_export(name, "python").network, batch=5)
        tensors = {f"input{i}": x for i, x in enumerate(inputs)}
        # An output that is an input would share its memory, which safetensors refuses.
        tensors |= {f"output{i}": y.clone() for i, y in enumerate(outputs)}
        save_file(tensors, tmp_path / f"{name}.safetensors")
    (tmp_path / "paths.json").write_text(json.dumps(paths))
    result = subprocess.run(
        [sys.executable, "-I", "-B", "-W", "ignore", "-c", SCRIPT, str(tmp_path), str(rounding(torch.float32))],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(2 * len(ZOO))]


@pytest.mark.share(0.28)
@pytest.mark.parametrize("name", ZOO)
def test_onnx_has_the_names_and_a_free_batch(zoo_export, name):
    network, exported = zoo_export(name, "onnx")
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.name for entry in model.graph.input] == list(network.spec.inputs)
    assert [entry.name for entry in model.graph.output] == list(network.spec.outputs)
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    for batch in (1, 4):
        inputs, outputs = answers(network, batch)
        named = dict(zip(network.spec.inputs, (x.numpy() for x in inputs), strict=True))
        for found, wanted in zip(session.run(None, named), outputs, strict=True):
            assert_same_function(torch.from_numpy(found), wanted, 2 * FORWARD)
