"""The checkpoints of a run directory: the newest, and the one before it."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from dagrow.spec.disk import sync_folder, write_new_file
from dagrow.training.disk import disk_errors

_KEPT = 2


class CheckpointStore:
    """Numbered folders, each with the files of one checkpoint.

    A folder gets its number when all in it is on the disk, so what has a number was complete once.

    Args:
        folder: holds them; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good: list[Path] = []

    def newest_first(self) -> Iterator[Path]:
        """The checkpoints that are there, from the newest on."""
        yield from sorted(self._numbered(), key=_number, reverse=True)

    def trust(self, path: Path) -> None:
        """Says of a checkpoint that it could be read: only such ones count when old ones are taken away."""
        self.good.append(path)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Adds a checkpoint; those before the last good one are taken away afterwards.

        Raises:
            RunError: if it cannot be written; the others are as they were.
        """
        with disk_errors(self.folder.parent):
            self.folder.mkdir(exist_ok=True)
            unfinished = self._hidden()
            unfinished.mkdir()
            try:
                for name, content in files.items():
                    write_new_file(unfinished / name, content)
                sync_folder(unfinished)
                path = self.folder / f"{max(map(_number, self._numbered()), default=0) + 1:06}"
                os.rename(unfinished, path)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            sync_folder(self.folder)
            self.good = [*self.good, path][-_KEPT:]
            for old in [old for old in self._numbered() if old not in self.good]:
                self._discard(old)

    def remove_leftovers(self) -> None:
        """Takes away what a killed process left unfinished."""
        if self.folder.is_dir():
            for path in self.folder.glob(".*.part"):
                shutil.rmtree(path, ignore_errors=True)

    def remove_all(self) -> None:
        """Takes everything away, the folder too."""
        with suppress(OSError):
            for path in list(self._numbered()):
                self._discard(path)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _numbered(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from (path for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir())

    def _discard(self, path: Path) -> None:
        # Renamed first: what has a number is complete at any moment.
        hidden = self._hidden()
        os.rename(path, hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def _hidden(self) -> Path:
        return self.folder / f".{uuid.uuid4().hex}.part"


def _number(path: Path) -> int:
    return int(path.name)
