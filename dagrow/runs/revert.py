"""A run made to stand again where it stood after an earlier growth step; nothing is lost by it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dagrow.errors import RunError, listed
from dagrow.files import read_file, sync_folder, write_new_file
from dagrow.files.disk import disk_errors
from dagrow.journal.reader import events_of
from dagrow.journal.replay import replay_to
from dagrow.journal.writer import content_up_to
from dagrow.runs.checkpoint import FILES, Checkpoint, CheckpointStore, GrowthStepStore, ModuleCheckpoint, kept_network
from dagrow.runs.directory import RunDirectory
from dagrow.runs.lock import LOCK
from dagrow.runs.module_directory import ModuleRunDirectory
from dagrow.runs.run_folder import RunFolder
from dagrow.spec import graph_hash
from dagrow.spec.document import MAX_BYTES

D = TypeVar("D", bound=RunFolder)


@dataclass(frozen=True)
class Reverted:
    """What was done.

    Attributes:
        step: after which the run stands now.
        path: its directory; ``dagrow grow PATH --resume``, or `dagrow.grow_module`, goes on from there.
        aside: where the run as it was is kept; None if it stayed where it was.
    """

    step: int
    path: Path
    aside: Path | None

    def __str__(self) -> str:
        kept = "" if self.aside is None else f"\nthe run as it was: {self.aside}"
        on = f"'dagrow grow {self.path} --resume'"
        if ModuleRunDirectory.has_begun(self.path):
            on = "dagrow.grow_module with this directory and resume=True"
        return f"{self.path} stands after step {self.step}; {on} goes on{kept}"


def revert(path: str | Path, step: int, out: str | Path | None = None) -> Reverted:
    """Makes a run stand again as it stood after a growth step.

    Args:
        path: the run directory, of a run that has ended or was stopped.
        step: the growth step, 0 for the start.
        out: a new directory for it. Left out, it takes the place of the old one, which is kept under another name.

    Raises:
        RunError: if the state of that step is not kept, or its files are damaged, or a process works on the run.
    """
    if ModuleRunDirectory.has_begun(path):
        return _reverted(ModuleRunDirectory.begun(path), _fill_module, step, out)
    return _reverted(RunDirectory.begun(path), _fill, step, out)


def _reverted(directory: D, fill: Callable[[D, D, Path, int], None], step: int, out: str | Path | None) -> Reverted:
    """The same for runs of one kind, whose directories are filled by ``fill``."""
    path, kind = directory.path, type(directory)
    with directory.locked():
        folder = _kept(directory, step)
        if out is not None:
            target = kind.made(out, "")
            fill(target, directory, folder, step)
            return Reverted(step, target.path, None)
        # Beside it, so that both names change within one file system.
        real = Path(os.path.realpath(directory.path))
        made, aside = _free(real, "reverting"), _free(real, "before-revert")
        with disk_errors(real.parent):
            made.mkdir()
        try:
            fill(kind(made), directory, folder, step)
            with disk_errors(real):
                os.rename(real, aside)
                os.rename(made, real)
                (aside / LOCK).unlink(missing_ok=True)
                sync_folder(real.parent)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    return Reverted(step, path, aside)


def _kept(directory: RunFolder, step: int) -> Path:
    store = GrowthStepStore(directory.steps)
    kept = store.steps()
    if step in kept:
        return store.path(step)
    more = directory.without_weights
    if not kept:
        raise RunError(f"{directory.path} keeps no weights of its steps (training.checkpoint.steps: false){more}")
    raise RunError(
        f"{directory.path} keeps no weights of step {step}; it keeps those of {listed(map(str, kept))}{more}"
    )


def _fill(new: RunDirectory, old: RunDirectory, folder: Path, step: int) -> None:
    """Writes the run directory as it was, from what is kept."""
    checkpoint = Checkpoint.read(folder)
    network = kept_network(checkpoint, folder)
    journal = content_up_to(old.journal, checkpoint.journal)
    replay = replay_to(events_of(journal, old.journal), step)
    if not replay.identical or replay.hash != graph_hash(network.spec):
        raise RunError(f"{folder}: its graph is not the one that the journal tells of step {step}")
    with disk_errors(new.path):
        if old.preprocessing.is_file():
            write_new_file(new.preprocessing, read_file(old.preprocessing, follow=False))
        _write(new, old, journal, folder, step, FILES)
    new.save(network)


def _fill_module(new: ModuleRunDirectory, old: ModuleRunDirectory, folder: Path, step: int) -> None:
    """The same for a module of one's own."""
    checkpoint = ModuleCheckpoint.read(folder)
    if checkpoint.step != step:
        raise RunError(f"{folder}: is the state after step {checkpoint.step}")
    journal = content_up_to(old.journal, checkpoint.journal)
    with disk_errors(new.path):
        _write(new, old, journal, folder, step, sorted(file.name for file in folder.iterdir()))


def _write(new: RunFolder, old: RunFolder, journal: bytes, folder: Path, step: int, names: Sequence[str]) -> None:
    """The files that a run of each kind has, of a checkpoint in ``folder`` those of the given names."""
    write_new_file(new.journal, journal)
    write_new_file(new.run, read_file(old.run, MAX_BYTES, follow=False))
    CheckpointStore(new.checkpoints).write({name: read_file(folder / name, follow=False) for name in names})
    store = GrowthStepStore(old.steps)
    for earlier in (number for number in store.steps() if number <= step):
        GrowthStepStore(new.steps).keep(earlier, store.path(earlier))


def _free(path: Path, word: str) -> Path:
    """The first of ``NAME.WORD``, ``NAME.WORD-2``, ... that is not there."""
    number, found = 1, path.with_name(f"{path.name}.{word}")
    while os.path.lexists(found):
        number += 1
        found = path.with_name(f"{path.name}.{word}-{number}")
    return found
