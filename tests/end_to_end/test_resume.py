"""A run that was stopped anywhere goes on to the same bits; what cannot go on is refused, and nothing is lost."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_tools import ROOT, command, settings

import dagrow
from dagrow.errors import RunError
from dagrow.growth import loop
from dagrow.journal import read_journal
from dagrow.runs import RunDirectory
from dagrow.runs.checkpoint import environment
from dagrow.runs.lock import DirectoryLock
from dagrow.training import train_unit as training_unit

RUN = """
name: small
graph:
  inputs: {x: {shape: [4]}}
  nodes: {h: {size: 2, activation: relu, norm: batch, dropout: 0.1}, y: {size: 3}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: y
data: {npz: data.npz}
training:
  {final_epochs: 2, batch_size: 16, closed_form_updates: true, optimizer: {name: adam, lr: 0.01},
   checkpoint: {epochs: 1}}
growth: {candidates: [widen, edge, node], neurons: 2, significance: 0, budget: {steps: 2}}
"""


class Killed(BaseException):
    """Nothing of ours catches it."""


class Said:
    """A reporter that keeps what is said, and acts on it."""

    def __init__(self, act=lambda: None) -> None:
        self.lines, self.act = [], act

    def say(self, text):
        self.lines.append(text)
        self.act()

    def stage(self, text, total): ...

    def advance(self): ...


@pytest.fixture(scope="module")
def run_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64) + (x[:, 2] > 1)
    np.savez(folder / "data.npz", x_train=x[:48], y_train=y[:48], x_test=x[48:], y_test=y[48:])
    (folder / "run.yaml").write_text(RUN)
    return folder / "run.yaml"


@pytest.fixture(scope="module")
def whole(run_file) -> Path:
    """The undisturbed run."""
    dagrow.grow(run_file, out=run_file.parent / "whole")
    return run_file.parent / "whole"


@pytest.fixture(scope="module")
def _half(run_file) -> Path:
    out = run_file.parent / "half"
    with pytest.MonkeyPatch.context() as patched:
        stop_after(patched, 7)
        with pytest.raises(Killed):
            dagrow.grow(run_file, out=out)
    return out


@pytest.fixture
def half(_half, tmp_path) -> Path:
    """A run that was stopped between two of its units, with two checkpoints."""
    shutil.copytree(_half, tmp_path / "half")
    assert len(list((tmp_path / "half" / "checkpoints").iterdir())) == 2
    return tmp_path / "half"


def stop_after(patched, events: int) -> None:
    """Runs die when they want to write another event."""
    written = loop.RunRecorder.write

    def write(record, event, **entries):
        if len(record.journal.events) >= events:
            raise Killed
        written(record, event, **entries)

    patched.setattr(loop.RunRecorder, "write", write)


def bytes_of(directory: Path) -> dict[str, bytes]:
    files = (file for file in directory.rglob("*") if file.is_file())
    return {str(file.relative_to(directory)): file.read_bytes() for file in files}


def end_of(directory: Path) -> dict[str, object]:
    """All that a run leaves behind, times aside."""
    journal = read_journal(directory / "journal.jsonl")
    without_times = json.dumps([{key: e for key, e in event.items() if key != "seconds"} for event in journal])
    files = {**bytes_of(directory), "journal.jsonl": without_times}
    # That of the journal depends on the times in it.
    assert bool(files.pop("SHA256SUMS", None)) == (journal[-1]["event"] == "end")
    for name in files:
        if name.endswith("checkpoint.json"):
            # How long the journal was, in bytes, depends on the times in it.
            content = json.loads(files[name])["content"]
            files[name] = json.dumps({key: entry for key, entry in content.items() if key != "journal"})
    return files


def test_a_continued_run_is_the_whole_run(half, whole, run_file):
    said = Said()
    result = dagrow.grow(run_file, out=half, resume=True, reporter=said)
    assert said.lines[0].startswith(f"{half}: continued from epoch 2, growth step 2")
    assert end_of(half) == end_of(whole)
    assert [event["event"] for event in result.events][:3] == ["start", "checkpoint", "epoch"]
    assert result.events[-1]["test"] == read_journal(whole / "journal.jsonl")[-1]["test"]


def die(patched, at: int, error: BaseException | None) -> list[int]:
    """The disk refuses from some sync on, or the process dies there; counts the syncs."""
    sync, syncs = os.fsync, [0]

    def fsync(handle):
        syncs[0] += 1
        if syncs[0] == at and error is None:
            # A killed process clears nothing up.
            patched.setattr(Path, "unlink", lambda *_, **__: None)
            patched.setattr(shutil, "rmtree", lambda *_, **__: None)
            raise Killed
        if syncs[0] >= at and error is not None:
            raise error
        sync(handle)

    patched.setattr(os, "fsync", fsync)
    return syncs


FULL = OSError(28, "No space left on device")
READ_ONLY = OSError(30, "Read-only file system")


@pytest.mark.share(0.21)
@pytest.mark.parametrize(("error", "stride"), [(None, 31), (FULL, 71), (READ_ONLY, 97)], ids=["killed", "full", "read"])
def test_stopped_at_any_sync(run_file, whole, tmp_path, error, stride):
    with pytest.MonkeyPatch.context() as patched:
        total = die(patched, 10**9, error)
        dagrow.grow(run_file, out=tmp_path / "count")
    assert total[0] > 30
    # The first sync belongs to run.yaml: before that there is no run.
    for at in range(2, total[0] + 1, stride):
        out = tmp_path / str(at)
        with pytest.MonkeyPatch.context() as patched:
            die(patched, at, error)
            with pytest.raises(Killed if error is None else dagrow.DagrowError) as refusal:
                dagrow.grow(run_file, out=out)
        if error is not None:
            assert f"cannot be written: {error.strerror}; " in str(refusal.value)
            assert not list(out.rglob(".*"))
        dagrow.grow(out, resume=True)
        assert end_of(out) == end_of(whole), at


def test_a_quota_of_the_system(half, whole, run_file):
    """A file may not become larger than half a checkpoint."""
    resource = pytest.importorskip("resource")
    before = bytes_of(half)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, hard))
    try:
        message = command("grow", half, "--resume").refusal()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = "with --resume it continues from epoch 2, growth step 2"
    assert message == f"{half} cannot be written: File too large; {kept}, in {half}"
    after = bytes_of(half)
    assert {name: after[name] for name in after if "checkpoints" in name} == {
        name: before[name] for name in before if "checkpoints" in name
    }
    assert command("grow", half, "--resume").code == 0
    assert end_of(half) == end_of(whole)


def test_a_directory_that_cannot_be_written(half, monkeypatch):
    opened = os.open

    def read_only(path, *more, **options):
        if str(path).endswith(".lock"):
            raise READ_ONLY
        return opened(path, *more, **options)

    before = bytes_of(half)
    monkeypatch.setattr(os, "open", read_only)
    message = command("grow", half, "--resume").refusal()
    assert message == f"{half} cannot be used as a run directory: Read-only file system"
    assert bytes_of(half) == before


def test_a_directory_that_is_removed_under_the_run(run_file, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(dagrow.RunError, match="run was removed while the run was writing to it; nothing is kept"):
        dagrow.grow(run_file, out=out, reporter=Said(lambda: shutil.rmtree(out)))
    assert not out.exists()


@pytest.mark.share(0.28)
@pytest.mark.parametrize("damage", ["cut", "changed", "file_lost", "emptied", "another_file"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(half, whole, damage):
    newest = max((half / "checkpoints").iterdir())
    file = newest / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    match damage:
        case "cut":
            file.write_bytes(content[:100])
        case "changed":
            file.write_bytes(content)
        case "file_lost":
            file.unlink()
        case "emptied":
            shutil.rmtree(newest)
            newest.mkdir()
        case "another_file":
            (newest / "checkpoint.json").write_text("{}")
    outcome = command("grow", half, "--resume")
    assert outcome.code == 0
    assert outcome.out.startswith(f"warning: {newest}")
    assert "; the checkpoint before it is used\n" in outcome.out
    assert end_of(half) == end_of(whole)


def test_no_good_checkpoint_is_left(half):
    for file in half.rglob("checkpoint.json"):
        file.write_bytes(file.read_bytes()[:-10])
    before = bytes_of(half)
    message = command("grow", half, "--resume").refusal()
    assert message.count("damaged or cut off") == 2
    assert message.endswith("no good checkpoint is left: start the run anew in another directory")
    assert bytes_of(half) == before


def test_checkpoints_that_are_gone_are_not_taken_for_a_run_that_has_not_begun(half):
    shutil.rmtree(half / "checkpoints")
    before = bytes_of(half)
    assert "is empty or not there, so the run cannot be continued" in command("grow", half, "--resume").refusal()
    assert bytes_of(half) == before


def test_a_run_without_its_first_checkpoint_starts_anew(run_file, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        die(patched, 3, None)
        with pytest.raises(Killed):
            dagrow.grow(run_file, out=tmp_path / "run")
    assert not list((tmp_path / "run").glob("checkpoints/0*"))
    outcome = command("grow", tmp_path / "run", "--resume")
    assert "stopped before its first checkpoint, so it starts anew" in outcome.out
    assert end_of(tmp_path / "run") == end_of(whole)


@pytest.mark.parametrize("damage", ["changed", "cut"])
def test_a_journal_that_does_not_belong_to_the_checkpoint(half, damage):
    journal = half / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:1]) if damage == "cut" else "".join(lines).replace("start", "begin"))
    before = bytes_of(half)
    assert "journal.jsonl: was changed or cut off since it was written" in command("grow", half, "--resume").refusal()
    assert bytes_of(half) == before


def test_another_run_is_refused_with_what_differs(half, run_file):
    before = bytes_of(half)
    changes = settings(training__final_epochs=3, growth__neurons=5)
    for source, more in ((run_file, ("--out", half)), (half, ())):
        message = command("grow", source, *more, "--resume", *changes, "--seed", 4).refusal()
        assert message == (
            f"{half} holds another run, it cannot be continued as this one: training.final_epochs is 3, "
            "it began with 2; growth.neurons is 5, it began with 2; seed is 4, it began with 0"
        )
    message = command("grow", ROOT / "specs" / "digits.yaml", "--out", half, "--resume").refusal()
    assert "name is 'digits', it began with 'small'" in message
    assert "; and " in message
    assert bytes_of(half) == before


def test_a_run_file_changed_in_the_directory_is_refused(half):
    recorded = half / "run.yaml"
    recorded.write_text(recorded.read_text().replace("lr: 0.01", "lr: 0.02"))
    message = command("grow", half, "--resume").refusal()
    assert "training.optimizer.lr is 0.02, it began with 0.01" in message


def test_other_samples_are_refused(half, run_file):
    stored = dict(np.load(run_file.with_name("data.npz")))
    other = half.with_name("data.npz")
    np.savez(other, **{**stored, "x_train": stored["x_train"] * 2})
    for file in (half / "run.yaml", *half.rglob("checkpoint.json")):
        file.write_text(file.read_text().replace(str(run_file.with_name("data.npz")), str(other)))
    for file in half.rglob("checkpoint.json"):
        repair_checksum(file)
    before = bytes_of(half)
    assert command("grow", half, "--resume").refusal().endswith("the samples are not those that the run began with")
    assert bytes_of(half) == before


def repair_checksum(file: Path) -> None:
    from dagrow.runs.checkpoint.files import encode

    head = json.loads(file.read_text())
    again = json.loads(encode(head["content"], {})["checkpoint.json"])
    head["sha256"]["content"] = again["sha256"]["content"]
    file.write_text(json.dumps(head))


def test_a_run_that_has_ended_says_so(whole, run_file):
    before = bytes_of(whole)
    for arguments in ((whole,), (run_file, "--out", whole)):
        outcome = command("grow", *arguments, "--resume")
        assert outcome.code == 0
        assert f"{whole}: this run has ended, there is nothing to continue" in outcome.out
        assert command("log", whole).out.strip() in outcome.out
    result = dagrow.grow(whole, resume=True)
    assert result.events[-1]["event"] == "end"
    assert result.train.loss == result.events[-1]["train"]["loss"]
    assert not result.model.training
    assert bytes_of(whole) == before


DAMAGES = {
    "an empty line": lambda journal: journal + b"\n",
    "two bytes cut off": lambda journal: journal[:-2],
    "a flipped bit": lambda journal: journal[:-9] + bytes([journal[-9] ^ 2]) + journal[-8:],
    "no last line": lambda journal: b"".join(journal.splitlines(keepends=True)[:-1]),
    "nothing": lambda journal: b"",
    "gone": None,
}


@pytest.mark.parametrize("sums", ["whole", "gone", "damaged"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_finished_run_is_never_trained_again(whole, tmp_path, damage, sums):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    journal = run / "journal.jsonl"
    if DAMAGES[damage] is None:
        journal.unlink()
    else:
        journal.write_bytes(DAMAGES[damage](journal.read_bytes()))
    if sums == "gone":
        (run / "SHA256SUMS").unlink()
    elif sums == "damaged":
        (run / "SHA256SUMS").write_bytes(b"\0")
    before, times = bytes_of(run), {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    command("grow", run, "--resume").refusal()
    assert bytes_of(run) == before
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*")}.items() >= times.items() - {(run, times.get(run))}


@pytest.mark.parametrize(
    "name", ["run.yaml", "preprocessing.json", "graph.yaml", "weights.safetensors", "journal.jsonl"]
)
def test_a_finished_run_with_a_changed_file_is_refused(whole, tmp_path, name):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    with (run / name).open("ab") as file:
        file.write(b" ")
    expected = f"{run / name}: does not match its checksum in SHA256SUMS"
    assert command("grow", run, "--resume").refusal().startswith(expected)
    assert command("export", run).refusal().startswith(expected)


def test_a_run_killed_behind_its_last_line_is_finished_later(whole, run_file, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(RunDirectory, "write_sums", lambda _: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            dagrow.grow(run_file, out=tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints").is_dir()
    assert "this run has ended" in command("grow", tmp_path / "run", "--resume").out
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert end_of(tmp_path / "run") == end_of(whole)


@pytest.mark.parametrize("place", ["journal.jsonl", "checkpoints/*/checkpoint.json", "run.yaml"])
def test_pipes_in_the_place_of_files_are_refused(half, place):
    for file in half.glob(place):
        file.unlink()
        os.mkfifo(file)
    assert "pipe" in command("grow", half, "--resume").refusal()


def test_a_second_process_is_refused(half, run_file, tmp_path):
    (tmp_path / "new").mkdir()
    for directory, words in ((half, (half, "--resume")), (tmp_path / "new", (run_file, "--out", tmp_path / "new"))):
        before = bytes_of(directory)
        with DirectoryLock(directory):
            message = command("grow", *words).refusal()
        assert message == f"{directory} is in use by process {os.getpid()}; wait until it ends, or stop it"
        assert bytes_of(directory) == before


def test_a_run_that_has_not_ended_is_not_begun_anew(half, run_file):
    before = bytes_of(half)
    message = command("grow", run_file, "--out", half).refusal()
    assert message == f"{half} holds a run that has not ended: continue it with --resume, or choose another --out"
    assert bytes_of(half) == before


def test_words_that_do_not_go_together(half, run_file, tmp_path):
    assert "there is no run to continue" in command("grow", run_file, "--out", tmp_path / "no", "--resume").refusal()
    (tmp_path / "empty").mkdir()
    assert "there is no run.yaml in it" in command("grow", tmp_path / "empty", "--resume").refusal()
    assert "say which run to continue" in command("grow", run_file, "--resume").refusal()
    assert "leave out --out" in command("grow", half, "--out", tmp_path / "other", "--resume").refusal()
    with pytest.raises(dagrow.RunError, match="does not go with write=False"):
        dagrow.grow(half, resume=True, write=False)
    with pytest.raises(dagrow.RunError, match="say which run to continue"):
        dagrow.grow(dagrow.load_run(run_file), resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "half"]


@pytest.mark.parametrize(
    "name",
    ["graph.yaml", "weights.safetensors", "journal.jsonl", "checkpoints", "exported", "steps/000001", "explained/a"],
)
def test_links_out_of_the_directory_are_refused(half, name, tmp_path):
    outside = tmp_path / "outside"
    (half / name).parent.mkdir(exist_ok=True)
    if (half / name).exists():
        (half / name).rename(outside)
    (half / name).symlink_to(outside)
    assert f"{half / name} is a link" in command("grow", half, "--resume").refusal()


@pytest.mark.parametrize("what", ["torch", "threads", "processor"])
def test_another_machine_is_told(half, monkeypatch, what):
    here = environment(torch.device("cpu"))
    monkeypatch.setattr("dagrow.runs.checkpoint.content.environment", lambda device: {**here, what: "other"})
    outcome = command("grow", half, "--resume")
    assert outcome.code == 0
    assert f"warning: the last bits may differ from those of a run in one piece ({what} {here[what]}, now other)" in (
        outcome.out
    )


@pytest.mark.share(0.35)
@pytest.mark.parametrize("what", ["loss", "weights"])
def test_numbers_that_go_wrong_leave_the_last_good_state(run_file, whole, tmp_path, monkeypatch, what):
    trained, passes = training_unit.train_epoch, [0]

    def exploding(network, *rest, **options):
        passes[0] += 1
        loss = trained(network, *rest, **options)
        if passes[0] == 4:
            if what == "loss":
                raise loop.TrainingError("the training loss became nan")
            with torch.no_grad():
                next(network.parameters()).fill_(float("inf"))
        return loss

    monkeypatch.setattr(training_unit, "train_epoch", exploding)
    message = command("grow", run_file, "--out", tmp_path / "run").refusal()
    assert message.startswith(
        "the training loss became nan" if what == "loss" else "the weights became infinite or NaN"
    )
    assert message.endswith(f"; the last good state is that of epoch 3, growth step 2, in {tmp_path / 'run'}")
    stopped = read_journal(tmp_path / "run" / "journal.jsonl")[-1]
    assert (stopped["event"], stopped["step"]) == ("stopped", 2)
    assert stopped["reason"] in message
    assert all(bool(weight.isfinite().all()) for weight in RunDirectory(tmp_path / "run").load().parameters())
    monkeypatch.setattr(training_unit, "train_epoch", trained)
    dagrow.grow(tmp_path / "run", resume=True)
    assert end_of(tmp_path / "run") == end_of(whole)


def test_one_command_starts_continues_and_ends(run_file, whole, tmp_path):
    out, again = tmp_path / "again", ["--resume-if-begun", "--out", str(tmp_path / "again")]
    with pytest.MonkeyPatch.context() as patched:
        stop_after(patched, 7)
        with pytest.raises(Killed):
            dagrow.grow(run_file, out=out, resume="if_begun")
    assert "continued from" in command("grow", str(run_file), *again).out
    assert end_of(out) == end_of(whole)
    assert "there is nothing to continue" in command("grow", str(run_file), *again).out
    with pytest.raises(RunError, match="^say which run to continue"):
        dagrow.grow(run_file, resume="if_begun")
