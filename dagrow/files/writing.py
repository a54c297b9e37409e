"""Files that are whole or not there, through to the disk. What the disk refuses is an OSError."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from dagrow.files.reading import check_file


def write_new_file(path: Path, content: bytes) -> None:
    """Writes a file that is not there yet."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Puts a file in the place of what is there, through a temporary one in the same folder.

    Whoever reads it meanwhile finds the old one or the new one; the old one stays if the disk refuses. A link is
    replaced itself, and what it led to is left alone; a device or a pipe is refused.
    """
    with suppress(FileNotFoundError):
        status = os.lstat(path)
        if not stat.S_ISLNK(status.st_mode):
            check_file(status, path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        write_new_file(temporary, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def append_to(path: Path, size: int) -> Iterator[FileIO]:
    """Opens a file behind its first ``size`` bytes; only one of no bytes is made if it is not there.

    Links and all that is no plain file are refused.
    """
    flags = os.O_RDWR | sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "CLOEXEC", "BINARY"))
    handle = os.open(path, flags if size else flags | os.O_CREAT, 0o644)
    with FileIO(handle, "r+b") as file:
        check_file(os.fstat(handle), path)
        file.seek(size)
        yield file


def sync_folder(folder: Path) -> None:
    """Makes renames last through a power cut, on systems where a folder can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
