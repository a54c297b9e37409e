"""Files that are whole or not there, through to the disk. What the disk refuses is an OSError."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path


def write_new_file(path: Path, content: bytes) -> None:
    """Writes a file that is not there yet."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Puts a file in the place of what is there, through a temporary one in the same folder.

    Whoever reads it meanwhile finds the old one or the new one; the old one stays if the disk refuses.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        write_new_file(temporary, content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes renames last through a power cut, on systems where a folder can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
