"""What other distributions add by entry points: the example is used from a run file; broken ones harm nothing."""

import json
import os
import subprocess
import sys

import pytest
import torch
from command_tools import ROOT, command
from plugin_tools import EXAMPLE, distribution, example_distribution, forget

import dagrow
from dagrow.methods import METHODS
from dagrow.registry import load_plugins, plugins, rollback_on_error
from dagrow.spec.data import DataSpec

RUN = EXAMPLE / "waves.yaml"
NAMES = ("ring_conv1d", "plain_svd", "gain_per_root", "shortcut", "waves")


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    """As in a process that has not looked for plugins yet; registrations end with the test."""
    monkeypatch.setattr(plugins, "_BROKEN", None)
    with rollback_on_error() as restore:
        yield
        restore()
    forget("dagrow_waves", "half_way", "quiet_one")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    for folder in example_distribution(tmp_path / "site"):
        monkeypatch.syspath_prepend(folder)


def test_every_part_of_the_example_is_one_file():
    files = {file.stem for file in (EXAMPLE / "dagrow_waves").glob("*.py")} - {"__init__"}
    assert files == set(NAMES)


@pytest.mark.usefixtures("installed")
def test_a_run_file_uses_an_op_a_method_a_criterion_a_candidate_type_and_a_source_of_strangers(tmp_path):
    short = ("--set", "training.final_epochs=1", "--set", "growth.budget.steps=3", "--set", "data.waves.noise=0.2")
    outcome = command("grow", RUN, "--out", tmp_path / "run", *short)
    assert (outcome.code, outcome.err) == (0, "")
    run = dagrow.load_run(tmp_path / "run" / "run.yaml")
    assert (run.growth.method, run.growth.where, run.growth.candidates) == (
        "plain_svd",
        "gain_per_root",
        ("widen", "shortcut"),
    )
    assert run.data.model_dump()["waves"] == {"samples": 300, "length": 24, "noise": 0.2, "seed": 0}
    events = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    inserted = [event["inserted"] for event in events if event["event"] == "growth" and event["inserted"]]
    assert {entry["kind"] for entry in inserted} <= {"widen", "shortcut"}
    assert any(entry["kind"] == "shortcut" for entry in inserted)
    assert 'padding_mode="circular"' in (tmp_path / "run" / "exported" / "model.py").read_text()
    assert command("export", tmp_path / "run", "--to", "pt2").code == 0
    assert "shortcut" in command("log", tmp_path / "run").out


@pytest.mark.usefixtures("installed")
def test_the_schema_has_them():
    outcome = command("check", "--schema")
    parts = json.loads(outcome.out)["$defs"]
    assert "op_ring_conv1d" in parts
    assert parts["DataSpec"]["properties"]["waves"]["$ref"] == "#/$defs/source_waves"
    assert parts["source_waves"]["properties"]["noise"]["maximum"] == 10.0
    growth = parts["GrowthSpec"]["properties"]
    assert "plain_svd" in growth["method"]["enum"]
    assert "gain_per_root" in growth["where"]["enum"]
    assert growth["candidates"]["items"]["enum"] == ["widen", "edge", "node", "layer", "update", "shortcut"]


@pytest.mark.usefixtures("installed")
def test_python_loads_them_at_the_first_unknown_name():
    assert not plugins.plugins_are_loaded()
    dagrow.load_run(ROOT / "specs" / "digits.yaml")
    assert not plugins.plugins_are_loaded()
    run = dagrow.load_run(RUN)
    assert run.data.source.samples == 300
    assert load_plugins() == ()


@pytest.mark.usefixtures("installed")
def test_fields_of_a_strangers_source_are_checked_at_their_line(tmp_path):
    file = tmp_path / "run.yaml"
    line = RUN.read_text().splitlines().index("data: {waves: {samples: 300, noise: 0.3}, test_fraction: 0.3}") + 1
    for wrong, message in {
        "{waves: {noise: -1}, test_fraction: 2}": "data / waves / noise: expected at least 0.0, found -1",
        "{waves: {noize: 1}}": "unknown field 'noize' (did you mean 'noise'?); allowed: samples, length, noise, seed",
        "{waves: 300}": "'waves' takes a mapping of its fields: samples, length, noise, seed",
        "{wave: {}}": "unknown field 'wave' (did you mean 'waves'?); allowed: "
        "dataset, npz, csv, table, images, arrays, text, in_memory, waves, target",
        "{waves: {}, dataset: wine}": "give one source of dataset, npz, csv, table, images, arrays, text, in_memory "
        "and waves, not waves, dataset",
    }.items():
        file.write_text(RUN.read_text().replace("{waves: {samples: 300, noise: 0.3}, test_fraction: 0.3}", wrong))
        with pytest.raises(dagrow.SpecError) as caught:
            dagrow.load_run(file)
        assert message in str(caught.value)
        assert {problem.line for problem in caught.value.problems} == {line}
        assert len(caught.value.problems) == (2 if "test_fraction" in wrong else 1)
    file.write_text(RUN.read_text().replace("waves: {samples: 300, noise: 0.3}", "waves: {}"))
    assert dagrow.load_run(file, ["data.waves.samples=9"]).data.source.samples == 9
    other = DataSpec.model_validate({"dataset": "wine", "test_fraction": 0.3})
    assert dagrow.load_run(file, ["data.dataset=wine"]).data == other


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("fan_out", ["full", "pointwise"])
def test_what_the_op_promises_is_obtained(fan_out):
    run = dagrow.load_run(RUN)
    model = dagrow.build(run.graph, seed=0).double().eval()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 1, 24, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (60,), generator=generator)
    loss = torch.nn.functional.cross_entropy
    inserted = 0
    for node in ("c1", "c2", "c1"):
        before = float(loss(model(x), y).detach())
        plan = dagrow.propose(
            model, loss, [(x, y)], nodes=[node], neurons=2, fan_out=fan_out, shrinkage=0, significance=0
        )
        if plan.best is not None:
            dagrow.apply(model, plan.best)
            inserted += 1
            assert plan.best.gain == pytest.approx(before - float(loss(model(x), y).detach()), rel=1e-6)
    assert inserted >= 2


def test_without_the_distribution_each_name_is_refused_at_its_line():
    problems = command("check", RUN).refusal()
    for line, message in {
        12: "unknown op 'ring_conv1d' (did you mean 'conv1d'?); allowed: linear",
        17: "unknown field 'waves'",
        20: "unknown method 'plain_svd'",
        21: "unknown kind of candidate 'shortcut'; allowed: widen, edge, node, layer",
        22: "unknown strategy 'gain_per_root' (did you mean 'gain_per_mac'?)",
    }.items():
        assert any(found.startswith(f"{RUN}:{line}: ") and message in found for found in problems.splitlines()), message


def test_the_real_command_and_a_plain_import(tmp_path):
    path = os.pathsep.join([str(ROOT), *example_distribution(tmp_path / "site")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    script = (
        "import sys, dagrow.cli.main\n"
        "print(dagrow.load_run(sys.argv[1]).data.source.title)\n"
        "dagrow.cli.main.main(['check', sys.argv[1]])\n"
    )
    words = [sys.executable, "-W", "error", "-c", script, str(RUN)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=240)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("source 'waves'\n")
    assert "ring_conv1d" in done.stdout


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Three plugins that fail, and one that does not, in two distributions."""
    site = tmp_path / "site"
    points = {"absent": "no_such_module_anywhere", "half": "half_way", "quiet": "quiet_one:register"}
    distribution(site, "strange-parts", points, "0.3")
    distribution(site, "other-parts", {"typo": "quiet_one:regster"})
    (site / "half_way.py").write_text(
        "import dagrow\n"
        "dagrow.register_method('half', lambda moments, request: None)\n"
        "dagrow.register_method('tiny', lambda moments, request: None)\n"
    )
    (site / "quiet_one.py").write_text(
        "import dagrow\n\ndef register():\n    dagrow.register_method('quiet', lambda moments, request: None)\n"
    )
    monkeypatch.syspath_prepend(str(site))


@pytest.mark.usefixtures("broken")
def test_a_plugin_that_fails_is_one_sentence_and_other_commands_go_on(capsys):
    outcome = command("check", ROOT / "specs" / "digits.yaml")
    assert outcome.code == 0
    typo, absent, half = outcome.err.splitlines()
    assert typo.startswith("dagrow: plugin 'typo' of other-parts 1.0 is not loaded (AttributeError: ")
    assert absent == (
        "dagrow: plugin 'absent' of strange-parts 0.3 is not loaded "
        "(ModuleNotFoundError: No module named 'no_such_module_anywhere')"
    )
    assert half == (
        "dagrow: plugin 'half' of strange-parts 0.3 is not loaded "
        "(DagrowError: a method named 'tiny' is registered already)"
    )
    assert "quiet" in METHODS
    assert "half" not in METHODS, "nothing of a plugin that fails stays"
    assert outcome.out == command("check", ROOT / "specs" / "digits.yaml").out


@pytest.mark.usefixtures("broken")
def test_in_python_the_sentence_comes_with_the_name_that_is_missing():
    with pytest.raises(dagrow.DagrowError) as caught:
        METHODS.find("half")
    assert str(caught.value).startswith("unknown method 'half'; allowed: tiny, ")
    assert "; plugin 'half' of strange-parts 0.3 is not loaded (" in str(caught.value)
    with pytest.raises(dagrow.SpecError, match="unknown strategy 'odd'.*plugin 'absent' of strange-parts 0.3"):
        dagrow.load_run(ROOT / "specs" / "digits.yaml", ["growth.where=odd"])


def test_damaged_metadata_are_one_sentence(monkeypatch):
    def fail(**_):
        raise ValueError("not enough values\x1b[31m")

    monkeypatch.setattr(plugins, "entry_points", fail)
    outcome = command("check", ROOT / "specs" / "digits.yaml")
    assert outcome.code == 0
    assert outcome.err == "dagrow: plugins cannot be listed (ValueError: not enough values?[31m)\n"
