"""A comparison directory: one run directory for each cell, there wholly or not at all, and the tables."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dagrow.compare.outcome import Outcome, read_outcome
from dagrow.compare.runs import Cell
from dagrow.errors import DagrowError, RunError
from dagrow.files import first_link
from dagrow.files.disk import disk_errors
from dagrow.graph import load_graph, load_run
from dagrow.runs import RunDirectory
from dagrow.runs.lock import DirectoryLock
from dagrow.spec import GraphSpec

_CELLS, _UNFINISHED = "cells", ".unfinished"


@dataclass(frozen=True)
class ComparisonDirectory:
    """Paths of a comparison: ``cells/ROW/seed-N``, and what is written of them all."""

    path: Path

    @classmethod
    def at(cls, path: str | Path) -> ComparisonDirectory:
        """A new directory, or one that a comparison has made.

        Raises:
            RunError: if the directory holds something else, or links, or cannot be made.
        """
        directory = cls(Path(path))
        with disk_errors(directory.path):
            cells = directory.path / _CELLS
            if directory.path.is_dir() and any(directory.path.iterdir()) and not cells.is_dir():
                raise RunError(f"{path} is not empty and not a comparison; choose another --out, or remove it first")
            if (link := first_link(directory.path, (_CELLS, _UNFINISHED))) is not None:
                raise RunError(f"{link} is a link: all files of a comparison must be its own")
            cells.mkdir(parents=True, exist_ok=True)
        return directory

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other process works on it; what a stopped one left half done is taken away.

        Raises:
            RunError: if another process does.
        """
        with DirectoryLock(self.path):
            shutil.rmtree(self.path / _UNFINISHED, ignore_errors=True)
            yield

    def cell(self, cell: Cell) -> Path:
        """The run directory of a cell."""
        return self.path / _CELLS / cell.folder

    def outcome(self, cell: Cell) -> Outcome | None:
        """How a cell ended; None if it has not been run, or not as it is wanted now.

        Raises:
            RunError: if it was run, and its files are damaged: its result is not thrown away unasked.
        """
        directory = RunDirectory(self.cell(cell))
        if not os.path.lexists(directory.path):
            return None
        try:
            directory.check_sums()
            if load_run(directory.run) != cell.run:
                return None
            return read_outcome(directory.journal)
        except DagrowError as error:
            raise RunError(f"{error}; remove {directory.path} to have this cell run again") from error

    def graph(self, cell: Cell) -> GraphSpec:
        """The last graph of a finished cell."""
        return load_graph(RunDirectory(self.cell(cell)).graph)

    @contextmanager
    def writing(self, cell: Cell) -> Iterator[Path]:
        """A folder that takes the place of the cell's run directory once all is well; otherwise it is gone.

        Raises:
            RunError: if the disk refuses.
        """
        folder = self.path / _UNFINISHED / uuid.uuid4().hex
        try:
            yield folder
            with disk_errors(self.path):
                target = self.cell(cell)
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.exists():
                    os.replace(target, folder.with_suffix(".old"))
                os.replace(folder, target)
        finally:
            for left in (folder, folder.with_suffix(".old")):
                shutil.rmtree(left, ignore_errors=True)
            with suppress(OSError):
                # Not while another cell is being written.
                folder.parent.rmdir()

    def strangers(self, cells: set[str]) -> list[str]:
        """Folders of cells that do not belong to the comparison as it is now."""
        found = (self.path / _CELLS).glob("*/seed-*")
        return sorted(name for path in found if (name := f"{path.parent.name}/{path.name}") not in cells)
