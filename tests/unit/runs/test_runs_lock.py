"""One process at a time; the lock ends with its process, however that ends."""

import os
import subprocess
import sys

import pytest

from dagrow.errors import RunError
from dagrow.runs.lock import LOCK, DirectoryLock


def test_the_second_is_refused_until_the_first_lets_go(tmp_path):
    with DirectoryLock(tmp_path):
        assert (tmp_path / LOCK).read_text() == str(os.getpid())
        with pytest.raises(RunError, match=f"is in use by process {os.getpid()}; wait until it ends"):
            DirectoryLock(tmp_path).__enter__()
        assert (tmp_path / LOCK).exists()
    assert list(tmp_path.iterdir()) == []
    with DirectoryLock(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_killed_process_lets_go(tmp_path):
    # A bare interpreter: the lock needs neither torch nor anything that takes time to import.
    code = "import fcntl, sys; f = open(sys.argv[1], 'a+'); fcntl.flock(f, 2); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / LOCK], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"1\n"
        with pytest.raises(RunError, match="is in use by another process"):
            DirectoryLock(tmp_path).__enter__()
        process.kill()
        process.wait()
    assert (tmp_path / LOCK).exists()
    with DirectoryLock(tmp_path):
        pass


def test_a_lock_file_that_is_replaced_is_not_mistaken_for_ours(tmp_path):
    with DirectoryLock(tmp_path):
        (tmp_path / LOCK).unlink()
        with DirectoryLock(tmp_path):
            assert (tmp_path / LOCK).exists()
        (tmp_path / LOCK).write_text("of someone else")
    assert (tmp_path / LOCK).read_text() == "of someone else"


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("keep")
    (tmp_path / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(RunError, match="cannot be used as a run directory"):
        DirectoryLock(tmp_path).__enter__()
    assert (tmp_path / "precious").read_text() == "keep"


def test_another_name_of_a_file_is_not_written_to(tmp_path):
    (tmp_path / "precious").write_text("keep")
    os.link(tmp_path / "precious", tmp_path / LOCK)
    with pytest.raises(RunError, match="is a link, or no file; remove it"):
        DirectoryLock(tmp_path).__enter__()
    assert (tmp_path / "precious").read_text() == "keep"


def test_a_directory_that_is_gone_while_it_is_held(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with DirectoryLock(folder):
        (folder / LOCK).unlink()
        folder.rmdir()
    assert not folder.exists()


def test_without_locks_in_the_file_system_nothing_is_held(tmp_path, monkeypatch):
    def unknown(handle):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("dagrow.runs.lock._lock", unknown)
    with DirectoryLock(tmp_path), DirectoryLock(tmp_path):
        pass
