"""Files of others are opened at once or refused at once, and what is written leaves links and pipes alone."""

import os
import socket
import time

import pytest

from dagrow.errors import RunError
from dagrow.files import append_to, check_sums, first_link, open_file, read_file, replace_file, write_sums


def make(kind, path):
    match kind:
        case "a named pipe":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "a socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(os.fspath(path))
        case "a device":
            path.symlink_to("/dev/zero")
        case "a link":
            (path.parent / "target").write_text("target")
            path.symlink_to(path.parent / "target")


@pytest.mark.parametrize("kind", ["a named pipe", "a folder", "a socket", "a device"])
def test_what_is_no_file_is_refused_at_once(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    make(kind, path := tmp_path.relative_to(tmp_path) / "it")
    started = time.monotonic()
    for read in (open_file, read_file):
        with pytest.raises(OSError) as caught:
            read(path)
        assert caught.value.strerror == f"is {kind}, not a file"
    assert time.monotonic() - started < 5


def test_a_link_is_read_only_where_it_may_be_one(tmp_path):
    make("a link", path := tmp_path / "it")
    assert read_file(path) == b"target"
    with pytest.raises(OSError) as caught:
        read_file(path, follow=False)
    assert caught.value.strerror == "is a link, not a file"


def test_larger_than_allowed(tmp_path):
    path = tmp_path / "it"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(OSError, match="has more than 4 bytes"):
        read_file(path, 4)
    os.truncate(path, 2**43)
    with pytest.raises(OSError, match="has more than .* MB"):
        read_file(path)


def test_a_path_that_is_none():
    with pytest.raises(OSError, match="no path of a file"):
        open_file("a\0b")


@pytest.mark.parametrize("kind", ["a named pipe", "a folder"])
def test_what_is_no_file_is_not_written_to(kind, tmp_path):
    make(kind, path := tmp_path / "it")
    with pytest.raises(OSError) as caught:
        replace_file(path, b"new")
    assert caught.value.strerror == f"is {kind}, not a file"
    assert [entry.name for entry in tmp_path.iterdir()] == ["it"]


def test_neither_links_nor_hard_links_are_written_through(tmp_path):
    make("a link", link := tmp_path / "it")
    hard = tmp_path / "hard"
    os.link(tmp_path / "target", hard)
    for path in (link, hard):
        replace_file(path, b"new")
        assert path.read_bytes() == b"new"
        assert not path.is_symlink()
    assert (tmp_path / "target").read_text() == "target"


@pytest.mark.parametrize("kind", ["a named pipe", "a link"])
def test_nothing_is_appended_to_what_is_no_file(kind, tmp_path):
    make(kind, path := tmp_path / "it")
    with pytest.raises(OSError), append_to(path, 0):
        pass
    with append_to(tmp_path / "new", 0) as file:
        file.write(b"one")
    with append_to(tmp_path / "new", 2) as file:
        file.write(b"ly")
    assert (tmp_path / "new").read_bytes() == b"only"


def test_the_first_link_at_any_depth(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert first_link(tmp_path, ["a", "absent"]) is None
    (tmp_path / "a" / "b" / "c").symlink_to("..")
    assert first_link(tmp_path, ["absent", "a"]) == tmp_path / "a" / "b" / "c"
    assert first_link(tmp_path, ["a"], depth=2) is None


def test_checksums_notice_every_bit(tmp_path):
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.write_bytes(b"some")
    check_sums(tmp_path, files)  # none are written down yet
    write_sums(tmp_path, files)
    check_sums(tmp_path, files)
    for file in (*files, tmp_path / "SHA256SUMS"):
        whole = file.read_bytes()
        for bit in range(8 * min(64, len(whole))):  # of the checksums, those of the first file
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            file.write_bytes(flipped)
            with pytest.raises(RunError):
                check_sums(tmp_path, files)
        file.write_bytes(whole)
    files[0].unlink()
    with pytest.raises(RunError, match=r"one: No such file"):
        check_sums(tmp_path, files)
