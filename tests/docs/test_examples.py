"""Each script in examples/ runs as it stands, in an empty directory, and prints what it is there to show."""

import importlib.util
import re
import runpy

import pytest
import torch
from docs_pages import ROOT
from safetensors.torch import load_file

import dagrow

EXAMPLES = ROOT / "examples"

pytestmark = pytest.mark.usefixtures("unregistered", "elsewhere")


def printed(name, capsys):
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


def test_grow_digits(capsys, tmp_path):
    out = printed("grow_digits.py", capsys)
    gains = [float(gain) for gain in re.findall(r"^step \d: h \+\d, gain (\S+)$", out, re.M)]
    assert len(gains) >= 2
    assert gains[0] > 0.5
    assert "y: it is an output: its size belongs to the task" in out
    units, accuracy = re.search(r"^hidden units: (\d+), test accuracy: (\S+)$", out, re.M).groups()
    assert int(units) == 2 + sum(int(n) for n in re.findall(r"^step \d: h \+(\d)", out, re.M))
    assert float(accuracy) > 0.92
    exported = tmp_path / "grown-digits"
    spec = importlib.util.spec_from_file_location("grown_digits", exported / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = next(v for v in vars(module).values() if isinstance(v, type) and issubclass(v, torch.nn.Module))()
    model.load_state_dict(load_file(exported / "weights.safetensors"))
    assert model(torch.rand(3, 64)).shape == (3, 10)
    assert list(tmp_path.iterdir()) == [exported]


def test_skip_graph(capsys):
    out = printed("skip_graph.py", capsys)
    assert "h1 can grow, read by h1 -> h2, h1 -> h3, h1 -> y" in out
    assert "h2 keeps its size: the identity edge h2 -> h3 ties its size to that of 'h3'" in out
    assert "best by gain_per_parameter" in out
    promised, obtained = map(float, re.search(r"^promised (\S+), obtained (\S+)$", out, re.M).groups())
    assert promised > 0.01
    assert obtained == pytest.approx(promised, rel=1e-3)
    assert "def forward(self, x):" in out


def test_own_method(capsys):
    out = printed("own_method.py", capsys)
    losses = {name: float(loss) for name, loss in re.findall(r"^(\w+ \(.*?\)): mean loss (\S+) of", out, re.M)}
    assert set(losses) == {
        f"{name} (shrinkage {s})" for name, s in [("tiny", 0), ("tiny", 1), ("steepest", 0), ("random", 0)]
    }
    # Three starts decide nothing between good methods; random neurons are far behind.
    assert max(loss for name, loss in losses.items() if "random" not in name) < losses["random (shrinkage 0)"] / 2
    with pytest.raises(dagrow.DagrowError, match="a method named 'steepest' is registered already"):
        dagrow.register_method("steepest", lambda moments, request: None)


def test_all_examples_are_tested_and_say_how_they_are_run():
    files = sorted(EXAMPLES.glob("*.py"))
    assert {f"test_{file.stem}" for file in files} <= set(globals())
    for file in files:
        assert f"    python examples/{file.name}\n" in file.read_text()
