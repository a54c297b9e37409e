"""The states after growth steps that are kept for good: one folder for each, to go back to."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dagrow.files import read_file, sync_folder, write_new_file
from dagrow.runs.checkpoint.numbered import hidden_path, numbered, numbered_path, remove_leftovers


class GrowthStepStore:
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
        hidden = hidden_path(self.folder)
        hidden.mkdir()
        try:
            for file in sorted(checkpoint.iterdir()):
                _link(file, hidden / file.name)
            sync_folder(hidden)
            path = self.path(step)
            if path.is_dir():
                os.rename(path, hidden_path(self.folder))
            os.rename(hidden, path)
        finally:
            self.remove_leftovers()
        sync_folder(self.folder)

    def path(self, step: int) -> Path:
        """Where the state after a step is, if it is kept."""
        return numbered_path(self.folder, step)

    def steps(self) -> list[int]:
        """The steps that are kept, in order."""
        return list(numbered(self.folder))

    def remove_leftovers(self) -> None:
        """Takes away what a killed process left unfinished."""
        remove_leftovers(self.folder)


def _link(source: Path, target: Path) -> None:
    """A second name of a file, or a copy where the file system has no such names."""
    with suppress(OSError):
        os.link(source, target)
        return
    write_new_file(target, read_file(source, follow=False))
