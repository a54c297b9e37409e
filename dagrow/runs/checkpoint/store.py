"""The checkpoints of a run directory: the newest, and the one before it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from dagrow.files import sync_folder, write_new_file
from dagrow.files.disk import disk_errors
from dagrow.runs.checkpoint.numbered import hidden_path, numbered, numbered_path, remove_leftovers

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
        yield from reversed(numbered(self.folder).values())

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
            unfinished = hidden_path(self.folder)
            unfinished.mkdir()
            try:
                for name, content in files.items():
                    write_new_file(unfinished / name, content)
                sync_folder(unfinished)
                path = numbered_path(self.folder, max(numbered(self.folder), default=0) + 1)
                os.rename(unfinished, path)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            sync_folder(self.folder)
            self.good = [*self.good, path][-_KEPT:]
            for old in numbered(self.folder).values():
                if old not in self.good:
                    self._discard(old)

    def remove_leftovers(self) -> None:
        """Takes away what a killed process left unfinished."""
        remove_leftovers(self.folder)

    def remove_all(self) -> None:
        """Takes everything away, the folder too."""
        with suppress(OSError):
            for path in numbered(self.folder).values():
                self._discard(path)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _discard(self, path: Path) -> None:
        # Renamed first: what has a number is complete at any moment.
        hidden = hidden_path(self.folder)
        os.rename(path, hidden)
        shutil.rmtree(hidden, ignore_errors=True)
