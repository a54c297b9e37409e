"""The whole way on real images: ``dagrow grow`` in a process of its own, and what it leaves behind."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_tools import ROOT, Outcome, command, fresh_command, settings
from safetensors.torch import load_file
from tolerances import assert_same_function

import dagrow
from dagrow.journal import read_journal

DIGITS = ROOT / "specs" / "digits.yaml"
SHORT = settings(training__epochs_between_growth=1, training__final_epochs=2, growth__budget__steps=3)


@pytest.fixture(scope="module")
def grown(tmp_path_factory) -> tuple[Path, Outcome]:
    """A short run by the real command."""
    folder = tmp_path_factory.mktemp("digits")
    outcome = fresh_command("grow", DIGITS, "--out", "run", *SHORT, cwd=folder)
    assert outcome.code == 0, outcome
    return folder / "run", outcome


def without_times(directory: Path) -> list[str]:
    """The journal, times aside."""
    events = read_journal(directory / "journal.jsonl")
    assert any("seconds" in event for event in events)
    return [json.dumps({key: entry for key, entry in event.items() if key != "seconds"}) for event in events]


def samples() -> torch.Tensor:
    """As the network reads them."""
    return torch.rand(7, 64, generator=torch.Generator().manual_seed(0))


def raw_samples() -> torch.Tensor:
    """The same in grey levels, as they are in the data set and as exports read them."""
    return 16 * samples()


def test_the_run_directory_is_complete(grown):
    directory, outcome = grown
    found = {str(file.relative_to(directory)) for file in directory.rglob("*") if file.is_file()}
    exported = {f"exported/{name}" for name in ("model.py", "weights.safetensors", "preprocessing.json")}
    steps = {f"steps/00000{i}/{name}" for i in range(4) for name in ("checkpoint.json", "tensors.safetensors")}
    own = {"run.yaml", "preprocessing.json", "graph.yaml", "weights.safetensors", "journal.jsonl", "SHA256SUMS"}
    assert found == own | exported | steps
    assert outcome.err == ""
    assert "step 1: h +4" in outcome.out


def test_it_grew_and_learned(grown):
    directory, outcome = grown
    events = read_journal(directory / "journal.jsonl")
    assert [event["event"] for event in events if event["event"] != "epoch"] == [
        "start",
        "checkpoint",
        *["growth", "checkpoint"] * 3,
        "end",
    ]
    start, end = events[0], events[-1]
    assert start["parameters"] == 64 * 2 + 2 + 2 * 10 + 10
    assert end["parameters"] > start["parameters"]
    assert end["test"]["accuracy"] > 0.85 > 0.2 > start["test"]["accuracy"]
    assert f"accuracy {end['test']['accuracy']:.4f}" in outcome.out
    size = dagrow.load_graph(directory / "graph.yaml").nodes["h"].size
    assert size == 2 + sum(event["inserted"]["neurons"] for event in events if event["event"] == "growth")


def test_every_candidate_is_on_record(grown):
    directory, _ = grown
    for event in read_journal(directory / "journal.jsonl"):
        if event["event"] == "growth":
            (candidate,) = event["plan"]["candidates"]
            assert candidate == event["inserted"]
            assert candidate["gain"] > 0
            assert candidate["held_out_gain"] > 0
            assert candidate["amplitude"] > 0
            assert candidate["place"] == "h"


def test_the_resolved_run_repeats_itself(grown, tmp_path):
    directory, _ = grown
    assert command("grow", directory / "run.yaml", "--out", tmp_path / "again").code == 0
    assert without_times(tmp_path / "again") == without_times(directory)
    assert (tmp_path / "again" / "run.yaml").read_text() == (directory / "run.yaml").read_text()
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (directory / "weights.safetensors").read_bytes()


def test_another_seed_is_another_run(grown, tmp_path):
    directory, _ = grown
    one, two = tmp_path / "one", tmp_path / "two"
    assert command("grow", DIGITS, "--out", one, *SHORT, "--seed", 1).code == 0
    assert command("grow", DIGITS, "--out", two, *SHORT, "--set", "seed=1").code == 0
    assert without_times(one) == without_times(two)
    assert dagrow.load_run(one / "run.yaml").seed == 1
    assert without_times(one)[1:] != without_times(directory)[1:]


def test_log_and_check(grown):
    directory, outcome = grown
    table = command("log", directory).out
    assert table.strip() in outcome.out
    assert [line.split()[0] for line in table.splitlines()[2:] if line] == ["start", "1", "2", "3", "end"]
    described = command("check", directory / "run.yaml").out
    assert "h can be widened; read by h -> y" in described
    assert "y keeps its size: it is an output" in described
    assert "advice: the learning rate never falls" in described
    assert "advice" not in command("check", directory / "graph.yaml").out


def test_weights_and_graph_are_the_exported_network(grown, tmp_path):
    """``model.py`` runs where there is no dagrow, and gives what the rebuilt graph gives."""
    directory, _ = grown
    model = dagrow.build(dagrow.load_graph(directory / "graph.yaml"))
    model.load_state_dict(load_file(directory / "weights.safetensors"))
    torch.save(raw_samples(), tmp_path / "x.pt")
    code = f"""
import sys
sys.modules["dagrow"] = None
import torch
from safetensors.torch import load_file
sys.path.insert(0, {str(directory / "exported")!r})
import model
network = model.Digits()
network.load_state_dict(load_file({str(directory / "exported" / "weights.safetensors")!r}))
torch.save(network.eval()(torch.load("x.pt")), "y.pt")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True, timeout=240)
    found = torch.load(tmp_path / "y.pt")
    assert found.shape == (7, 10)
    assert_same_function(found, model.eval()(samples()))


@pytest.mark.parametrize(("form", "name"), [("python", "again"), ("pt2", "m.pt2"), ("onnx", "m.onnx")])
def test_every_export(grown, tmp_path, form, name):
    directory, _ = grown
    if form == "onnx":
        pytest.importorskip("onnxscript")
    outcome = command("export", directory, "--to", form, "--out", tmp_path / name)
    assert outcome.code == 0, outcome
    assert "loaded back, outputs differ by" in outcome.out
    model = dagrow.build(dagrow.load_graph(directory / "graph.yaml"))
    model.load_state_dict(load_file(directory / "weights.safetensors"))
    expected = model.eval()(samples())
    assert_same_function(run_export(form, tmp_path / name), expected)


def run_export(form: str, path: Path) -> torch.Tensor:
    if form == "pt2":
        return torch.export.load(path).module()(raw_samples())
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        return torch.from_numpy(session.run(None, {"x": raw_samples().numpy()})[0])
    spec = importlib.util.spec_from_file_location("exported_model", path / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Digits()
    network.load_state_dict(load_file(path / "weights.safetensors"))
    return network.eval()(raw_samples())


def test_an_export_that_does_not_exist(grown):
    directory, _ = grown
    message = command("export", directory, "--to", "onx").refusal()
    assert message == "unknown export 'onx' (did you mean 'onnx'?); allowed: python, pt2, onnx"
    assert not (directory / "model.onx").exists()


def test_a_directory_with_something_in_it_is_refused(grown):
    directory, _ = grown
    before = {file: file.read_bytes() for file in directory.rglob("*") if file.is_file()}
    message = command("grow", DIGITS, "--out", directory, *SHORT).refusal()
    assert message == f"{directory} is not empty; choose another --out, or remove it first"
    assert before == {file: file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def test_without_out_the_next_free_name_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = settings(training__epochs_between_growth=0, training__final_epochs=0, growth__budget__steps=0)
    for _ in range(2):
        assert command("grow", DIGITS, *quick).code == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["digits", "digits-2"]


ABSENT = ["cuda:99", "toaster", *([] if torch.cuda.is_available() else ["cuda", "cuda:7"])]


@pytest.mark.parametrize("device", ABSENT)
def test_a_device_that_is_not_there(tmp_path, device):
    message = command("grow", DIGITS, "--device", device, "--out", tmp_path / "run").refusal()
    assert message.startswith(f"device '{device}' cannot be used: ")
    assert message.endswith("'cpu' always works, 'cuda' with a GPU")
    assert not (tmp_path / "run").exists()


def test_commands_on_what_is_no_run(tmp_path):
    assert command("log", tmp_path / "no").refusal().endswith("give one that 'dagrow grow' has made")
    for name in ("log", "replay"):
        assert command(name, tmp_path).refusal() == f"{tmp_path} is no run directory: there is no journal.jsonl in it"
    message = command("export", tmp_path).refusal()
    assert (
        message
        == f"{tmp_path} is not a complete run directory: it lacks graph.yaml, weights.safetensors, journal.jsonl"
    )


def test_help_has_examples():
    for name in ("grow", "check", "export", "show", "log", "diff", "replay", "revert"):
        assert f"Example: dagrow {name} " in command(name, "--help").out
        assert name in command("--help").out
