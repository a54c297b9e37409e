"""The states after growth steps that are kept for good: one folder for each, to go back to."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dagrow.spec.disk import sync_folder, write_new_file


class StepStore:
    """Folders named after steps, ``000003``, each with the files of one checkpoint.

    Args:
        folder: holds them; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, step: int, checkpoint: Path) -> None:
        """Keeps a checkpoint as the state after a step.

        Checkpoints are never written to again, so both places share one file on the disk where it can do that. What
        the disk refuses is an OSError; what was kept before stays then.
        """
        self.folder.mkdir(exist_ok=True)
        hidden = self.folder / f".{uuid.uuid4().hex}.part"
        hidden.mkdir()
        try:
            for file in sorted(checkpoint.iterdir()):
                _link(file, hidden / file.name)
            sync_folder(hidden)
            path = self.path(step)
            if path.is_dir():
                os.rename(path, self.folder / f".{uuid.uuid4().hex}.part")
            os.rename(hidden, path)
        finally:
            self.remove_leftovers()
        sync_folder(self.folder)

    def path(self, step: int) -> Path:
        """Where the state after a step is, if it is kept."""
        return self.folder / f"{step:06}"

    def steps(self) -> list[int]:
        """The steps that are kept, in order."""
        return sorted(int(path.name) for path in self._kept())

    def remove_leftovers(self) -> None:
        """Takes away what a killed process left unfinished."""
        if self.folder.is_dir():
            for path in self.folder.glob(".*.part"):
                shutil.rmtree(path, ignore_errors=True)

    def _kept(self) -> Iterator[Path]:
        if self.folder.is_dir() and not self.folder.is_symlink():
            entries = self.folder.iterdir()
            yield from (p for p in entries if p.name.isdecimal() and p.is_dir() and not p.is_symlink())


def _link(source: Path, target: Path) -> None:
    """A second name of a file, or a copy where the file system has no such names."""
    with suppress(OSError):
        os.link(source, target)
        return
    write_new_file(target, source.read_bytes())
