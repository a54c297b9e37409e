"""Puts files at a destination only after they were checked: all of them or none."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dagrow.errors import ExportError
from dagrow.export.base import DESTINATION, Exporter
from dagrow.files import sync_folder, write_new_file


@contextmanager
def disk_errors(out: Path) -> Iterator[None]:
    """Turns what the disk refuses into an `ExportError`."""
    try:
        yield
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error.strerror or error}") from error


def check_destination(exporter: Exporter, out: Path) -> None:
    """Refuses to overwrite anything but an earlier export of the same kind.

    Raises:
        ExportError: if something else is there.
    """
    if not os.path.lexists(out) or exporter.wrote(out):
        return
    if exporter.directory and out.is_dir() and not any(out.iterdir()):
        return
    raise ExportError(f"{out} exists and is not an earlier {exporter.name} export; choose another path or remove it")


@contextmanager
def staged(contents: Mapping[str, bytes], out: Path) -> Iterator[Path]:
    """Writes files beside their destination, and takes them away again at the end.

    Yields:
        What will be the destination: a file, or a directory of files.
    """
    # Beside it, not in a folder for temporary files: a rename is atomic only within one file system.
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.parent / f".{uuid.uuid4().hex}.part"
    folder.mkdir()
    try:
        path = folder / out.name
        if DESTINATION not in contents:
            path.mkdir()
        for name, content in contents.items():
            write_new_file(path / name if name else path, content)
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_in_place(path: Path, out: Path, optional: Collection[str] = ()) -> None:
    """Moves what `staged` wrote to its destination.

    Args:
        path: of what was written.
        out: the destination.
        optional: names of files that go from there, where nothing was written in their place.
    """
    if path.is_dir() and os.path.lexists(out):
        # The folder may hold more than the export: only our files in it are replaced.
        files = sorted(path.iterdir())
        for name in set(optional) - {file.name for file in files}:
            (out / name).unlink(missing_ok=True)
        for file in files:
            os.replace(file, out / file.name)
        sync_folder(out)
    else:
        os.replace(path, out)
    sync_folder(out.parent)
