"""``dagrow spot``: a run directory, a run file, JSON, a picture, and refusals; nothing of a run changes."""

import hashlib
import json

import pytest
from command_tools import ROOT, command, settings

DIGITS = ROOT / "specs" / "digits.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("spot") / "run"
    short = settings(training__epochs_between_growth=1, training__final_epochs=0, growth__budget__steps=1)
    assert command("grow", DIGITS, "--out", directory, *short).code == 0
    return directory


def sums(directory):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.rglob("*") if path.is_file()}


def test_a_run_directory_with_a_picture(run, tmp_path):
    before = sums(run)
    done = command("spot", run, "--out", tmp_path / "a.svg", "--samples", 600)
    assert (done.code, done.err) == (0, "")
    assert "on 600 samples" in done.out
    assert "untrained" not in done.out
    assert f"\n{tmp_path / 'a.svg'}\n" in done.out
    assert "not supplied" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert sums(run) == before


def test_a_run_file_as_json(run):
    done = command("spot", DIGITS, "--json", "--samples", 500, "--neurons", 2, "--fallback-method", "none")
    assert done.code == 0
    entry = json.loads(done.out)
    assert entry["note"].startswith("the network of a run file is untrained")
    assert [each["node"] for each in entry["bottlenecks"]] == ["h", "y"]
    (widening,) = entry["widenings"]
    assert (widening["node"], widening["features"], widening["readers"]) == ("h", 2, ["y"])
    assert widening["interval"][0] < widening["gain"] < widening["interval"][1]
    assert (widening["parameters"], widening["multiply_adds"]) == (2 * 65 + 2 * 10, 2 * 64 + 2 * 10)
    again = command("spot", DIGITS, "--json", "--samples", 500, "--neurons", 2, "--fallback-method", "none")
    assert again.out == done.out


def test_a_regression_is_told_in_its_own_units(tmp_path):
    spec = tmp_path / "run.yaml"
    spec.write_text(
        "graph: {inputs: {x: {shape: [10]}}, nodes: {h: {size: 1, activation: tanh}, y: {size: 1}}, "
        "edges: {x -> h: linear, h -> y: linear}, outputs: [y]}\n"
        "data: {dataset: diabetes}\ntraining: {loss: mse}\n"
    )
    entry = json.loads(command("spot", spec, "--json", "--fallback-method", "none").out)
    assert 2_000 < entry["loss"] < 40_000  # the variance of the targets is 5 930


def test_refusals(run, tmp_path):
    assert "give one that 'dagrow grow' has made" not in command("spot", "missing.yaml").refusal()
    assert "no such file" in command("spot", "missing.yaml").refusal()
    assert command("spot", run, "--set", "seed=3").refusal().startswith("--set changes a run file")
    assert command("spot", DIGITS, "--out", "a.pdf").refusal() == "a.pdf: a picture ends with one of: .svg, .png"
    assert command("spot", DIGITS, "--node", "g").refusal() == "there is no node 'g'; nodes: h, y"
    assert "at least 1" in command("spot", DIGITS, "--samples", 0).refusal()
    assert "is not a complete run directory" in command("spot", tmp_path).refusal()
