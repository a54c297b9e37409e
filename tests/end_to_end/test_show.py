"""``dagrow show`` and ``dagrow.show``: every spec, a run directory, both formats, and refusals."""

import json
import re
import shutil
import sys
from xml.etree import ElementTree

import pytest
import torch
from command_tools import ROOT, command, real_command, settings, unsealed, write_journal

import dagrow

SPECS = sorted((ROOT / "specs").glob("*.yaml"))
DIGITS = ROOT / "specs" / "digits.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two growth steps."""
    directory = tmp_path_factory.mktemp("show") / "run"
    short = settings(training__epochs_between_growth=1, training__final_epochs=0, growth__budget__steps=2)
    assert command("grow", DIGITS, "--out", directory, *short).code == 0
    return directory


@pytest.fixture
def copied(run, tmp_path):
    return unsealed(shutil.copytree(run, tmp_path / "run"))


def texts(path) -> list[str]:
    ElementTree.parse(path)
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", path.read_text(encoding="utf-8"), re.S)]


@pytest.mark.share(0.28)
@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_every_spec(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("show", spec).out == f"{spec.stem}.svg\n"
    said = texts(tmp_path / f"{spec.stem}.svg")
    graph = dagrow.load_graph(spec)
    assert spec.stem in said
    # Of blocks that are alike, one is drawn and names the others.
    assert {*graph.nodes, *graph.inputs} <= {*re.findall(r"\w+", " ".join(said))}
    assert command("show", spec, "--out", "picture.png").out == "picture.png\n"
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_by_the_real_command(copied, tmp_path):
    outcome = real_command("show", "run", cwd=tmp_path)
    assert (outcome.code, outcome.out, outcome.err) == (0, "run/growth.svg\n", "")
    events = [json.loads(line) for line in (copied / "journal.jsonl").read_text().splitlines()]
    steps = [event["inserted"] for event in events if event["event"] == "growth"]
    said = texts(copied / "growth.svg")
    for step in steps:
        assert f"h +{step['neurons']}" in said
        assert f"{step['gain']:.3g}" in said
    assert f"2 → {2 + sum(step['neurons'] for step in steps)} features" in said
    assert "digits" in said


def test_a_run_as_png_and_its_graph_file(copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("show", copied, "--out", "a/b.png").code == 0
    assert (tmp_path / "a" / "b.png").read_bytes().startswith(b"\x89PNG")
    assert command("show", copied / "graph.yaml").out == "graph.svg\n"


def test_the_journal_tells_the_graph_after_each_step(run):
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    graphs = [dagrow.GraphSpec.model_validate(event["graph"]) for event in events if "graph" in event]
    assert graphs[0] == dagrow.load_graph(DIGITS)
    assert graphs[-1] == dagrow.load_graph(run / "graph.yaml")
    sizes = [graph.nodes["h"].size for graph in graphs]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_an_old_journal_gives_the_last_graph_and_says_so(copied):
    journal = copied / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    write_journal(journal, [{k: v for k, v in event.items() if k != "graph"} for event in events])
    assert command("show", copied).code == 0
    said = texts(copied / "growth.svg")
    assert "the journal of this run does not tell the graph after each step: this is the last one" in said
    assert "total" not in said


def test_in_python(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    graph = dagrow.load_graph(DIGITS)
    assert str(dagrow.show(graph)) == "graph.svg"
    picture = (tmp_path / "graph.svg").read_bytes()
    assert dagrow.show(dagrow.build(graph, seed=0), tmp_path / "network.svg") == tmp_path / "network.svg"
    assert (tmp_path / "network.svg").read_bytes() == picture
    assert dagrow.show(run, out="run.png").is_file()
    with pytest.raises(dagrow.DagrowError, match="must come from dagrow.build"):
        dagrow.show(torch.nn.Linear(2, 2))


ESCAPES = "a\x1b]0;t\x07\x1b[2J\x9b\u202e\r"
"""What a terminal obeys, as far as a file may be called so."""


def test_escapes_in_names_reach_neither_picture_nor_terminal(copied, tmp_path, monkeypatch):
    """Of a file, of a folder whose run has no name any more, and of what a journal calls places and kinds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{ESCAPES}.yaml").write_bytes(DIGITS.read_bytes())
    folder = copied.rename(tmp_path / ESCAPES)
    journal = folder / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    for event in events:
        if event["event"] == "growth":
            event["inserted"].update(place=ESCAPES, kind=ESCAPES)
    write_journal(journal, events)
    (folder / "run.yaml").unlink()
    for name, picture in ((f"{ESCAPES}.yaml", f"{ESCAPES}.svg"), (ESCAPES, f"{ESCAPES}/growth.svg")):
        shown = command("show", name)
        drawn = (tmp_path / picture).read_text(encoding="utf-8")
        assert (shown.code, shown.err) == (0, "")
        for text in (shown.out, drawn):
            assert text.replace("\n", "").isprintable()
            assert "a?]0;t??[2J???" in text
        ElementTree.fromstring(drawn)


def test_refusals(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("show", DIGITS, "--out", "a.pdf").refusal() == "a.pdf: a picture ends with one of: .svg, .png"
    assert command("show", run, "--out", "a").refusal() == "a: a picture ends with one of: .svg, .png"
    assert "no such file" in command("show", "missing.yaml").refusal()
    assert "is not a complete run directory" in command("show", tmp_path).refusal()
    (tmp_path / "no.yaml").write_text("nothing: 1\n")
    assert "there is no section 'graph'" in command("show", "no.yaml").refusal()
    monkeypatch.setitem(sys.modules, "graphlay", None)
    assert command("show", DIGITS).refusal() == "a picture needs 'graphlay': pip install 'dagrow[plots]'"
    assert [path.name for path in tmp_path.iterdir()] == ["no.yaml"]
