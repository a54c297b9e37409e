"""A journal is whole after every event, and can be cut back to any place between two of them."""

import hashlib
import json
import os

import pytest

from dagrow.errors import RunError
from dagrow.journal import Journal, read_journal
from dagrow.journal.reader import last_event
from dagrow.journal.writer import JournalPosition


def written(path, count):
    """A journal with some events, and the places behind each."""
    journal, places = Journal(path), []
    for number in range(count):
        journal.write("epoch", epoch=number, running_loss=0.1 * number, word="ä" * number)
        places.append(journal.position)
    return journal, places


def test_cut_back_and_written_on_it_is_the_same_journal(tmp_path):
    whole, places = written(tmp_path / "whole.jsonl", 5)
    for kept in range(6):
        path = tmp_path / f"{kept}.jsonl"
        path.write_bytes(whole.path.read_bytes())
        journal = Journal.continued(path, places[kept - 1] if kept else JournalPosition())
        assert journal.events == whole.events[:kept] == read_journal(path)
        for event in whole.events[kept:]:
            journal.write(**event)
        assert path.read_bytes() == whole.path.read_bytes()
        assert journal.position == whole.position


def test_a_torn_line_is_written_over(tmp_path):
    journal, places = written(tmp_path / "journal.jsonl", 3)
    with journal.path.open("ab") as file:
        file.write(b'{"event": "epo')
    assert last_event(journal.path) == {}
    again = Journal.continued(journal.path, places[1])
    again.write("end")
    assert [event["event"] for event in read_journal(journal.path)] == ["epoch", "epoch", "end"]
    assert last_event(journal.path) == {"event": "end"}


@pytest.mark.parametrize("damage", ["changed", "shorter", "missing"])
def test_a_journal_that_is_not_what_it_was(tmp_path, damage):
    journal, places = written(tmp_path / "journal.jsonl", 3)
    content = journal.path.read_bytes()
    if damage == "missing":
        journal.path.unlink()
    else:
        journal.path.write_bytes(content.replace(b"0.1", b"0.2") if damage == "changed" else content[:20])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RunError, match=r"journal\.jsonl: (was changed or cut off|cannot be read)"):
        Journal.continued(journal.path, places[1])
    assert sorted(tmp_path.iterdir()) == before


def test_a_line_that_does_not_fit_on_the_disk_leaves_no_trace(tmp_path, monkeypatch):
    journal, _ = written(tmp_path / "journal.jsonl", 2)
    content, events, place = journal.path.read_bytes(), list(journal.events), journal.position

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(RunError, match="cannot be written: No space left on device"):
            journal.write("growth", step=1)
    assert (journal.path.read_bytes(), journal.events, journal.position) == (content, events, place)
    journal.write("growth", step=1)
    assert read_journal(journal.path) == [*events, {"event": "growth", "step": 1}]


def test_a_journal_that_was_taken_away_is_not_begun_anew(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    journal, _ = written(folder / "journal.jsonl", 2)
    journal.path.unlink()
    with pytest.raises(RunError, match="cannot be written: No such file"):
        journal.write("end")
    folder.rmdir()
    with pytest.raises(RunError, match="run was removed while the run was writing to it"):
        journal.write("end")
    assert not folder.exists()


def test_flipped_bits_of_a_journal_are_noticed(tmp_path):
    journal, _ = written(tmp_path / "journal.jsonl", 3)
    content = journal.path.read_bytes()
    silent = []
    for bit in range(0, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        journal.path.write_bytes(flipped)
        try:
            if read_journal(journal.path) != journal.events:
                silent.append(bit)
        except RunError:
            continue
    assert not silent


def test_a_line_that_is_gone_or_moved_is_noticed(tmp_path):
    journal, _ = written(tmp_path / "journal.jsonl", 4)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    for others in ([lines[0], *lines[2:]], [lines[1], lines[0], *lines[2:]], lines[1:], [*lines, lines[-1]]):
        journal.path.write_bytes(b"".join(others))
        with pytest.raises(RunError, match=r"not a line of a journal \(its checksum does not fit"):
            read_journal(journal.path)


def test_a_journal_without_checksums_is_read_and_written_on(tmp_path):
    journal, _ = written(tmp_path / "journal.jsonl", 3)
    journal.path.write_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in journal.events))
    content = journal.path.read_bytes()
    again = Journal.continued(journal.path, JournalPosition(len(content), hashlib.sha256(content).hexdigest()))
    again.write("warning", epoch=3, message="on")
    assert read_journal(journal.path) == again.events
    assert "checksum" in json.loads(journal.path.read_bytes().splitlines()[-1])


def test_a_hard_link_to_a_journal_stays_as_it_is(tmp_path):
    journal, places = written(tmp_path / "journal.jsonl", 3)
    other, content = tmp_path / "other", journal.path.read_bytes()
    os.link(journal.path, other)
    Journal.continued(journal.path, places[0]).write("end")
    assert other.read_bytes() == content
    assert len(read_journal(journal.path)) == 2
