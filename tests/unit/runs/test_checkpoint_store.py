"""Checkpoints are whole at any moment; the newest two stay."""

import os
import shutil

import pytest

from dagrow.errors import RunError
from dagrow.runs.checkpoint import CheckpointStore, GrowthStepStore, store

ANY = {"a": b"1", "b": b"22"}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def kept(tmp_path):
    found = CheckpointStore(tmp_path / "checkpoints")
    for _ in range(3):
        found.write(ANY)
    return found


def test_the_newest_two_stay(kept):
    assert [path.name for path in kept.newest_first()] == ["000003", "000002"] == names(kept.folder)[::-1]
    for path in kept.newest_first():
        assert {file.name: file.read_bytes() for file in path.iterdir()} == ANY


def test_a_damaged_one_does_not_count(kept):
    again = CheckpointStore(kept.folder)
    newest, before = again.newest_first()
    again.trust(before)
    again.write(ANY)
    assert names(kept.folder) == ["000002", "000004"]
    assert not newest.exists()


@pytest.mark.parametrize("step", ["write_new_file", "sync_folder", "rename"])
def test_an_interrupted_one_leaves_the_others(kept, monkeypatch, step):
    """Whether the disk refuses or the process dies: no number without all the files."""

    def refuse(*_):
        raise OSError(28, "No space left on device")

    for died in (False, True):
        with monkeypatch.context() as patched:
            patched.setattr(*((os, step) if step == "rename" else (store, step)), refuse)
            if died:
                patched.setattr(shutil, "rmtree", lambda *_, **__: None)
            with pytest.raises(RunError, match="cannot be written: No space left on device"):
                kept.write(ANY)
        assert [path.name for path in kept.newest_first()] == ["000003", "000002"]
        leftovers = [name for name in names(kept.folder) if name.startswith(".")]
        assert len(leftovers) == died
    kept.remove_leftovers()
    assert names(kept.folder) == ["000002", "000003"]


def test_other_things_in_the_folder_are_left_alone(kept):
    (kept.folder / "notes.txt").write_text("mine")
    kept.write(ANY)
    assert names(kept.folder) == ["000003", "000004", "notes.txt"]


@pytest.mark.parametrize("name", ["7", "٣", "²", "0000004", "00000a", "-00001", "9" * 200])
def test_folders_of_odd_names_are_none_of_ours(kept, name):
    (kept.folder / name).mkdir()
    assert [path.name for path in kept.newest_first()] == ["000003", "000002"]
    assert GrowthStepStore(kept.folder).steps() == [2, 3]
    kept.write(ANY)
    assert {name, "000004"} <= {*names(kept.folder)}


def test_all_are_taken_away_at_the_end(kept):
    kept.remove_all()
    assert not kept.folder.exists()
    kept.remove_all()
    assert list(CheckpointStore(kept.folder).newest_first()) == []


def test_a_folder_that_is_gone(kept):
    shutil.rmtree(kept.folder.parent)
    with pytest.raises(RunError, match="was removed while the run was writing to it"):
        kept.write(ANY)
    assert not kept.folder.parent.exists()
