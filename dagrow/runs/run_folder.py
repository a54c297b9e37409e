"""What every run directory has, of a graph or of a module of one's own: a journal, checkpoints, a lock, checksums."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from dagrow.errors import RunError
from dagrow.files import SUMS, check_sums, first_link, write_sums
from dagrow.files.disk import disk_errors
from dagrow.runs.lock import LOCK, DirectoryLock


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run.

    Until a run has ended, there is ``checkpoints/``; when it has, ``SHA256SUMS`` says so, and what the files were.
    """

    path: Path

    RUN_FILE: ClassVar[str] = "run.yaml"
    """The file that is written first."""
    CONTINUE: ClassVar[str] = "--resume"
    """How a run is continued."""
    OTHER: ClassVar[str] = "another --out"
    """What to give instead of a directory that is not empty."""

    @property
    def run(self) -> Path:
        """The run as it was meant, every default written out."""
        return self.path / self.RUN_FILE

    @property
    def weights(self) -> Path:
        """The weights."""
        return self.path / "weights.safetensors"

    @property
    def journal(self) -> Path:
        """The record of events."""
        return self.path / "journal.jsonl"

    @property
    def checkpoints(self) -> Path:
        """What a run that has not ended is continued from."""
        return self.path / "checkpoints"

    @property
    def steps(self) -> Path:
        """The states after growth steps, to go back to."""
        return self.path / "steps"

    @property
    def own_files(self) -> tuple[Path, ...]:
        """Its files, but for those in folders."""
        return (self.run, self.weights, self.journal)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Its folders."""
        return (self.checkpoints, self.steps)

    @property
    def kept_folders(self) -> tuple[Path, ...]:
        """Those that stay when the run has ended."""
        return (self.steps,)

    @classmethod
    def made(cls, out: str | Path | None, name: str) -> Self:
        """An empty directory; without ``out``, ``runs/NAME`` or the next free ``runs/NAME-2``, ...

        Raises:
            RunError: if the directory holds something already, or cannot be made.
        """
        path = _free_path(name) if out is None else Path(out)
        found = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            found.check_empty()
        except OSError as error:
            raise RunError(f"{path} cannot be used as a run directory: {error.strerror or error}") from error
        return found

    def check_empty(self) -> None:
        """Refuses a directory that holds more than a lock.

        Raises:
            RunError: if it does.
        """
        if self.checkpoints.is_dir() and not self.ended:
            raise RunError(
                f"{self.path} holds a run that has not ended: continue it with {self.CONTINUE}, or choose {self.OTHER}"
            )
        if any(entry.name != LOCK for entry in self.path.iterdir()):
            raise RunError(f"{self.path} is not empty; choose {self.OTHER}, or remove it first")

    def locked(self) -> DirectoryLock:
        """Keeps other processes out, as a context manager."""
        return DirectoryLock(self.path)

    @classmethod
    def has_begun(cls, path: str | Path) -> bool:
        """Whether there is a run to continue: the run file is the first that is written."""
        return cls(Path(path)).run.is_file()

    @classmethod
    def begun(cls, path: str | Path) -> Self:
        """The directory of a run that has begun, and may have been stopped at any moment.

        Raises:
            RunError: if it is none, or holds links instead of files of its own.
        """
        directory = cls(Path(path))
        if not directory.path.is_dir():
            raise RunError(
                f"{path} is not there, so there is no run to continue; without {cls.CONTINUE} it starts there"
            )
        directory.check_kind()
        if not directory.run.is_file():
            raise RunError(f"{path} holds no run to continue: there is no {cls.RUN_FILE} in it")
        directory.check_own()
        return directory

    def check_kind(self) -> None:
        """Refuses runs of another kind.

        Raises:
            RunError: saying of which.
        """

    @property
    def without_weights(self) -> str:
        """What is there of steps whose weights are not kept, for messages."""
        return ""

    def check_own(self) -> None:
        """Refuses links in the place of the run's own files, in its folders too: nothing outside is ever written.

        Raises:
            RunError: naming the link.
        """
        own = (*self.own_files, self.path / SUMS, *self.folders)
        with disk_errors(self.path):
            link = first_link(self.path, (path.name for path in own))
        if link is not None:
            raise RunError(f"{link} is a link: all files of a run must be its own")

    @property
    def ended(self) -> bool:
        """Whether it is written down that the run has come to its end; of early versions, only the journal says so."""
        return os.path.lexists(self.path / SUMS)

    def write_sums(self) -> None:
        """Says that the run has ended, and what its files are: their checksums.

        Raises:
            RunError: if the disk refuses.
        """
        with disk_errors(self.path):
            write_sums(self.path, self.all_files())

    def all_files(self) -> list[Path]:
        """The files that are there, those in folders that stay last."""
        kept = [file for folder in self.kept_folders for file in folder.rglob("*") if file.is_file()]
        return [*(file for file in self.own_files if file.is_file()), *sorted(kept)]

    def check_sums(self, *files: Path) -> None:
        """Compares some of its files, or all beside its folders, with what they were when the run ended.

        Raises:
            RunError: naming a file that is another.
        """
        check_sums(self.path, files or self.own_files)

    def remove_leftovers(self) -> None:
        """Takes away what a killed process left unfinished."""
        for path in self.path.glob(".*.part"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _free_path(name: str) -> Path:
    base = Path("runs") / name
    path, number = base, 1
    while path.exists() and (not path.is_dir() or any(path.iterdir())):
        number += 1
        path = base.with_name(f"{name}-{number}")
    return path
