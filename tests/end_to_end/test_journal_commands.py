"""log, diff, replay and revert on a real run: what they show, what they refuse, and that nothing is lost."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from command_tools import ROOT, command, settings, unsealed, write_journal
from safetensors.torch import load_file

import dagrow
from dagrow.journal import read_journal

DIGITS = ROOT / "specs" / "digits.yaml"
SHORT = settings(
    training__epochs_between_growth=1, training__final_epochs=1, growth__budget__steps=3, growth__samples=300,
    growth__neurons=2, growth__significance=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("journal") / "run"
    assert command("grow", DIGITS, "--out", out, *SHORT).code == 0
    return out


@pytest.fixture
def copied(run, tmp_path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def told(directory: Path) -> list[dict]:
    """The journal, times aside."""
    return [{k: v for k, v in event.items() if k != "seconds"} for event in read_journal(directory / "journal.jsonl")]


def files(directory: Path) -> dict[str, bytes]:
    return {str(f.relative_to(directory)): f.read_bytes() for f in directory.rglob("*") if f.is_file()}


def test_log_shows_what_was_considered(run):
    shown = command("log", run, "--step", 2).out
    assert shown.startswith("step 2, growth: loss ")
    assert shown.splitlines()[3].split()[:2] == ["h", "widen"]
    assert shown.splitlines()[3].endswith("made")
    assert command("log", run, "--step", 9).refusal() == "there is no growth step 9; the journal has 3"
    assert json.loads(command("log", "--schema").out)["title"] == "dagrow journal line, schema 2"
    assert command("log").refusal() == "give a run directory, or --schema"


def test_log_of_a_run_that_was_cut_off(copied):
    journal = copied / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    end = next(i for i, line in enumerate(lines) if b'"event": "growth"' in line)
    journal.write_bytes(b"".join(lines[: end + 1]) + lines[end + 1][:20])
    unsealed(copied)
    shown = command("log", copied).out
    assert [line.split()[0] for line in shown.splitlines()[2:4]] == ["start", "1"]
    assert shown.splitlines()[-1] == "this run has not come to its end; 1 epochs are done"


def test_diff_of_two_steps_and_of_files(run):
    shown = command("diff", f"{run}@1", f"{run}@3").out.splitlines()
    sizes = [event["graph"]["nodes"]["h"]["size"] for event in told(run) if event["event"] == "growth"]
    assert shown[0].startswith(f"--- {run}, step 1  ")
    assert shown[1].startswith(f"+++ {run}, step 3  ")
    node, parameters = shown[4].split(), shown[5].split()
    assert node == [
        "~",
        "node",
        "h",
        "size",
        f"{sizes[0]},",
        "relu",
        "size",
        f"{sizes[2]},",
        "relu",
        f"+{sizes[2] - sizes[0]}",
    ]
    assert parameters[:2] == ["~", "parameters"]
    assert int(parameters[3]) - int(parameters[2]) == 75 * (sizes[2] - sizes[0]) == int(parameters[4])
    for same in (
        (run, f"{run}@end"),
        (run / "graph.yaml", run),
        (DIGITS, f"{run}@start"),
        (f"{run}@0", run / "run.yaml"),
    ):
        assert command("diff", *same).out.splitlines()[2] == "the same graph"


@pytest.mark.parametrize("words", [("diff", "{0}", "{0}@1"), ("show", "{0}"), ("export", "{0}")])
def test_a_graph_that_is_not_that_of_the_weights_is_refused(copied, words):
    """Also where no checksums of the files say so: while a run goes on, and in early versions."""
    file, journal = unsealed(copied) / "graph.yaml", copied / "journal.jsonl"
    content = file.read_text()
    file.write_text(content.replace("activation: relu", "activation: selu"))
    assert file.read_text() != content
    if words[0] == "show":
        # It draws what the journal tells, if that tells the graphs.
        events = read_journal(journal)
        write_journal(journal, [{k: v for k, v in event.items() if k != "graph"} for event in events])
    said = command(*(word.format(copied) for word in words)).refusal()
    assert said.startswith(f"{file} does not match {copied / 'weights.safetensors'}: it was damaged or changed")


def test_diff_of_graphs_that_share_nothing():
    shown = command("diff", DIGITS, ROOT / "specs" / "digits_conv.yaml").out
    assert "~  input x " in shown
    assert "+  node c1 " in shown
    assert "op=" not in shown


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ("{run}@9", "there is no step 9; the journal has steps 0 to 3, 0 is the start"),
        ("{run}@last", "'last' is no step: give a number from 0, start or end"),
        ("{run}@-1", "'-1' is no step"),
        ("{run}/nothing.yaml", "no such file"),
        ("{run}/nothing@1", "is not a directory; give one that 'dagrow grow' has made"),
        ("{run}/exported", "is no run directory: there is no journal.jsonl in it"),
        ("{run}/journal.jsonl", "not valid YAML"),
    ],
)
def test_moments_that_are_none(run, moment, message):
    assert message in command("diff", moment.format(run=run), DIGITS).refusal()


def test_replay_of_every_step(run, tmp_path):
    for step in ("start", "1", "2", "3", "end"):
        file = tmp_path / f"{step}.yaml"
        outcome = command("replay", run, "--to", step, "--out", file)
        assert outcome.code == 0
        assert "identical to the recorded graph" in outcome.out
        assert not dagrow.diff(file, f"{run}@{step}")
    assert dagrow.replay(run).graph == dagrow.load_graph(run / "graph.yaml")
    assert dagrow.replay(run, to=0).graph == dagrow.load_graph(DIGITS)


def test_replay_of_a_changed_journal_says_so(copied):
    journal = copied / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    second = [event for event in events if event["event"] == "growth"][1]
    second["change"]["nodes"]["put"]["h"]["activation"] = "selu"
    write_journal(unsealed(copied) / "journal.jsonl", events)
    outcome = command("replay", copied, "--to", 3)
    assert outcome.code == 1
    assert "NOT the recorded graph: they differ from step 2 on" in outcome.out
    assert command("replay", copied, "--to", 1).code == 0


def test_in_python(run):
    spec = dagrow.load_graph(DIGITS)
    difference = dagrow.diff(spec, dagrow.build(dagrow.load_graph(run / "graph.yaml"), seed=0))
    assert difference
    assert difference.changes.sizes.keys() == {"h"}
    assert "+++ after" in str(difference)
    assert not dagrow.diff(spec, DIGITS)
    with pytest.raises(dagrow.DagrowError, match="must come from dagrow.build"):
        dagrow.diff(spec, torch.nn.Linear(2, 2))


@pytest.mark.parametrize("step", [0, 2])
def test_a_reverted_run_comes_to_the_same_end(run, copied, step):
    before = files(copied)
    outcome = command("revert", copied, "--to", step)
    assert outcome.code == 0, outcome
    aside = copied.with_name("run.before-revert")
    assert outcome.out.splitlines()[1] == f"the run as it was: {aside}"
    assert files(aside) == before
    events = told(copied)
    assert events == told(run)[: len(events)]
    assert (events[-1]["event"], events[-1]["step"]) == ("checkpoint", step)
    network = dagrow.build(dagrow.load_graph(copied / "graph.yaml"))
    network.load_state_dict(load_file(copied / "weights.safetensors"))
    assert command("replay", copied).out.splitlines()[1].split()[1] == events[-1]["graph_hash"]
    assert command("grow", copied, "--resume").code == 0
    assert told(copied) == told(run)
    assert (copied / "weights.safetensors").read_bytes() == before["weights.safetensors"]
    assert files(copied).keys() == before.keys()


def test_revert_to_another_place(run, copied, tmp_path):
    before = files(copied)
    outcome = command("revert", copied, "--to", 1, "--out", tmp_path / "first")
    assert outcome.code == 0, outcome
    assert files(copied) == before
    assert "dagrow grow" in outcome.out
    assert dagrow.load_graph(tmp_path / "first" / "graph.yaml") == dagrow.replay(run, to=1).graph
    assert sorted(p.name for p in (tmp_path / "first" / "steps").iterdir()) == ["000000", "000001"]
    again = dagrow.revert(tmp_path / "first", to=0)
    assert (again.path, again.aside) == (tmp_path / "first", tmp_path / "first.before-revert")
    assert dagrow.revert(tmp_path / "first", to=0).aside == tmp_path / "first.before-revert-2"


def test_a_revert_that_cannot_be_leaves_everything_as_it_was(copied, tmp_path):
    message = command("revert", copied, "--to", 7).refusal()
    assert message.startswith(f"{copied} keeps no weights of step 7; it keeps those of 0, 1, 2, 3; the graph alone")
    assert command("revert", copied, "--to", "end").refusal().startswith("the end is where the run stands")
    tensors = copied / "steps" / "000002" / "tensors.safetensors"
    content = tensors.read_bytes()
    tensors.unlink()
    tensors.write_bytes(content[:-1] + b"\0\1")
    before = files(copied)
    assert "damaged or cut off" in command("revert", copied, "--to", 2).refusal()
    assert files(copied) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert "is not empty" in command("revert", copied, "--to", 1, "--out", copied).refusal()
    shutil.rmtree(copied / "steps")
    assert (
        "keeps no weights of its steps (training.checkpoint.steps: false)"
        in command("revert", copied, "--to", 1).refusal()
    )


def test_steps_are_kept_only_if_wanted(tmp_path):
    out = tmp_path / "run"
    assert command("grow", DIGITS, "--out", out, *SHORT, *settings(training__checkpoint__steps="false")).code == 0
    assert not (out / "steps").exists()
    assert not [event for event in told(out) if event["event"] == "checkpoint"]
