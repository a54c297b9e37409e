"""A run directory from a stranger: no code runs, nothing is written outside of it, only messages come out."""

import json
import os
import pickle
import random
import shutil
from pathlib import Path

import pytest
from command_tools import ROOT, command, settings, unsealed, write_journal
from safetensors.torch import load_file, save_file

import dagrow
from dagrow.errors import DagrowError
from dagrow.journal import growth_history, history_table, read_journal
from dagrow.journal.replay import replays

QUICK = settings(
    training__epochs_between_growth=1, training__final_epochs=0, growth__budget__steps=1, growth__samples=200
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("strange") / "run"
    assert command("grow", ROOT / "specs" / "digits.yaml", "--out", out, *QUICK).code == 0
    return out


@pytest.fixture
def run(made, tmp_path) -> Path:
    return unsealed(Path(shutil.copytree(made, tmp_path / "run")))


class Evil:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self):
        return Path("evil").touch, ()


def read_everything(run: Path) -> None:
    """Every command that reads a run directory; each works or is refused with a message."""
    for words in (
        ("log", run),
        ("log", run, "--step", 1),
        ("replay", run, "--to", 1),
        ("diff", run, f"{run}@1"),
        ("show", run),
        ("export", run),
        ("check", run / "run.yaml"),
        ("grow", run, "--resume"),
        ("revert", run, "--to", 1),
    ):
        outcome = command(*words)
        assert outcome.code in (0, 1, 2), (words, outcome)
        assert "Traceback" not in outcome.err
        outcome.err.encode()


@pytest.mark.parametrize(
    "name",
    ["run.yaml", "preprocessing.json", "graph.yaml", "weights.safetensors", "journal.jsonl", "steps", "exported"],
)
def test_links_out_of_it_are_refused_and_not_followed(run, name, tmp_path):
    outside = tmp_path / "outside"
    os.rename(run / name, outside)
    (run / name).symlink_to(outside)
    before = outside.read_bytes() if outside.is_file() else sorted(outside.rglob("*"))
    for words in (("export", run), ("show", run), ("revert", run, "--to", 1), ("grow", run, "--resume")):
        assert command(*words).refusal() == f"{run / name} is a link: all files of a run must be its own"
    assert before == (outside.read_bytes() if outside.is_file() else sorted(outside.rglob("*")))


@pytest.mark.parametrize("name", ["growth.svg", "model.pt2"])
def test_pictures_and_exports_do_not_follow_links(run, name, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (run / name).symlink_to(precious)
    assert command(*{"growth.svg": ("show", run), "model.pt2": ("export", run, "--to", "pt2")}[name]).code == 2
    assert precious.read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "journal.jsonl", "graph.yaml", "run.yaml", "steps/000001/tensors.safetensors"]
)
def test_pickles_are_not_read(run, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run / name).write_bytes(pickle.dumps(Evil()))
    read_everything(run)
    assert not (tmp_path / "evil").exists()


def test_tags_and_tensor_names_run_nothing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run / "graph.yaml").write_text("graph: !!python/object/apply:os.system ['touch evil']\n")
    state = load_file(run / "weights.safetensors")
    save_file({**state, "../../evil": next(iter(state.values())).clone()}, run / "weights.safetensors")
    read_everything(run)
    assert not list(tmp_path.rglob("evil"))


def test_a_graph_that_would_fill_the_memory_is_compared_with_its_weights_first(run):
    text = (run / "graph.yaml").read_text()
    huge = text.replace("nodes:", "nodes:\n    a: {size: 1000000}\n    b: {size: 1000000}")
    (run / "graph.yaml").write_text(
        huge.replace("edges:", "edges:\n    x -> a: linear\n    a -> b: linear\n    b -> y: linear")
    )
    assert "does not fit" in command("export", run).refusal()


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff" * 8,
        (2**40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        b"\x10" + b"\0" * 7 + b"[" * 16,
        (60).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[999999999999],"data_offsets":[0,4]}}'[:60],
    ],
)
def test_heads_of_weights_that_lie(run, header):
    (run / "weights.safetensors").write_bytes(header)
    assert "does not fit" in command("export", run).refusal()
    (run / "steps" / "000001" / "tensors.safetensors").write_bytes(header)
    assert "checksum" in command("revert", run, "--to", 1).refusal()


LINES = [
    b"",
    b"1",
    b"[]",
    b"{}",
    b'{"event": 1}',
    b'{"event": "growth"}',
    b'{"event": "growth", "step": "one"}',
    b"\xff\xfe",
    b'{"event": "start", "graph": 3}',
    b'{"event": "start", "schema": 99}',
    b'{"event": "growth", "step": 1, "inserted": 3}',
    b'{"event": "growth", "step": 1, "plan": {"candidates": [1]}}',
    b'{"event": "epoch", "epoch": -1}',
    b"[" * 100_000,
    b'{"event": "end", "train_loss": "x"}',
    b'{"event": "x", "a": ' + b"9" * 5_000 + b"}",
    b'{"event": "warning", "message": 5}',
    b'{"event": "growth", "step": 1, "train_loss": NaN}',
    b'{"event": "growth", "step": -1}',
    b"\x00",
    b'{"event": "removal", "step": 1, "removed": []}',
    b'{"event": "growth", "step": 99999999999999999999999}',
]


@pytest.mark.share(0.35)
@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_line_that_is_none(run, line):
    journal = run / "journal.jsonl"
    journal.write_bytes(line + b"\n")
    message = command("log", run).refusal()
    assert message.startswith(f"{journal}:1: not a line of a journal (")
    for words in (("replay", run), ("show", run), ("diff", run, f"{run}@1"), ("log", run, "--step", 1)):
        assert command(*words).code == 2


def test_a_journal_that_is_endless(run):
    (run / "journal.jsonl").unlink()
    os.mkfifo(run / "journal.jsonl")
    assert "is no run directory" in command("log", run).refusal()
    (run / "journal.jsonl").unlink()
    with (run / "journal.jsonl").open("wb") as file:
        file.truncate(2**40)
    assert "has more than 512 MB" in command("log", run).refusal()
    with (run / "journal.jsonl").open("wb") as file:
        file.truncate(2**25)
    assert ":1: a line of more than 16 MB" in command("log", run).refusal()


def test_control_characters_do_not_reach_the_terminal(run):
    journal = run / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    for event in events:
        if event["event"] == "growth":
            event["inserted"]["place"] = "\x1b]0;title\x07\ud800"
    events.append({"event": "warning", "epoch": 1, "message": "\x1b[2J"})
    write_journal(journal, events)
    for words in (("log", run), ("log", run, "--step", 1)):
        shown = command(*words)
        assert shown.code == 0
        assert "\x1b" not in shown.out + shown.err
        shown.out.encode()


def test_mutated_journals(made):
    """Bytes changed anywhere: read, or refused with a message; and what is read can be shown."""
    content, random_ = (made / "journal.jsonl").read_bytes(), random.Random(0)
    file = made.parent / "journal.jsonl"
    refused: list[str] = []
    for _ in range(300):
        data = bytearray(content)
        for _ in range(random_.choice((1, 1, 3, 10))):
            at = random_.randrange(len(data))
            data[at : at + random_.choice((0, 1, 1, 5, 300))] = random_.choice(
                (b"", b"0", b'"', b"{", b"null", b"-", b"\xff", b"[]")
            )
        file.write_bytes(bytes(data))
        try:
            events = read_journal(file)
            history_table(events)
            growth_history(events)
            replays(events)
        except DagrowError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 300
    assert max(map(len, refused)) < 2_000
    file.unlink()


def test_a_whole_stranger_is_read_by_everything(run):
    read_everything(run)
    assert isinstance(dagrow.replay(run).graph, dagrow.GraphSpec)
