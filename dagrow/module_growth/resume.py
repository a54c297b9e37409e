"""A run of a module that was stopped goes on from its last good checkpoint, as if it had never stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dagrow.capture import CapturedModule
from dagrow.errors import DagrowError, RunError
from dagrow.journal import Journal, read_journal
from dagrow.journal.reader import last_event
from dagrow.journal.writer import JournalPosition, content_up_to
from dagrow.module_growth.data_fingerprint import DATA, data_fingerprint
from dagrow.module_growth.record import ModuleRecord
from dagrow.module_growth.settings import LoopSettings
from dagrow.module_growth.trained_parts import TrainedParts
from dagrow.resize import class_name
from dagrow.runs.checkpoint import CheckpointStore, ModuleCheckpoint, changed_environment
from dagrow.runs.module_directory import ModuleRunDirectory

Say = Callable[[str], Any]

_FOREIGN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What comes of data that pretend to be the state of a run."""


@dataclass(frozen=True)
class Opened:
    """A run that begins, or is taken up again.

    Attributes:
        record: of the run, cut back to where it goes on.
        checkpoint: from which; None if it begins.
        attributes: that growth has set on the module.
        ended: whether the run has ended, so that nothing is trained.
    """

    record: ModuleRecord
    checkpoint: ModuleCheckpoint | None = None
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: bool = False

    def begin(self, captured: CapturedModule) -> None:
        """Writes down what the run is to be; where it goes on, puts module and random numbers where they stood.

        Raises:
            RunError: if the disk refuses, or something cannot be kept.
        """
        if self.checkpoint is None:
            self.record.begin(captured)
            return
        captured.attributes = self.attributes
        self.record.see(captured)
        self.record.parts.restore_random_numbers(self.checkpoint.entry)


@contextmanager
def opened(
    parts: TrainedParts, settings: LoopSettings, path: str | Path | None, resume: bool | Literal["if_begun"], say: Say
) -> Iterator[Opened]:
    """A run, with its directory locked.

    Args:
        parts: of the module.
        settings: of the loop.
        path: of the directory; None where nothing is written.
        resume: whether a run goes on there.
        say: told from where.

    Raises:
        RunError: if the directory holds something else, or is in use.
    """
    if path is None:
        if resume is True:
            raise RunError("give 'directory': where the run to be continued is")
        yield Opened(ModuleRecord(parts, settings, None))
    elif resume is True or (resume and ModuleRunDirectory.has_begun(path)):
        directory = ModuleRunDirectory.begun(path)
        with directory.locked():
            yield continued(parts, settings, directory, say)
    else:
        directory = ModuleRunDirectory.made(path, "")
        with directory.locked():
            yield Opened(ModuleRecord(parts, settings, directory))


def continued(parts: TrainedParts, settings: LoopSettings, directory: ModuleRunDirectory, say: Say) -> Opened:
    """Takes up a run: the module, made anew, gets the state that it had.

    Nothing on the disk is changed where something is refused.

    Args:
        parts: of the new module.
        settings: of the loop.
        directory: of the run, locked.
        say: told from where it goes on, and which checkpoints are damaged.

    Raises:
        RunError: if it is another run, or of other data, or no checkpoint of it is good.
    """
    _check_same(directory, class_name(parts.model), settings)
    _check_data(directory, parts)
    ended = directory.ended
    if ended:
        directory.check_sums(*directory.all_files())
    record = ModuleRecord(parts, settings, directory)
    record.begun = True
    good = _last_good(directory, record.store, say)
    if good is None:
        record.journal = Journal.continued(directory.journal, JournalPosition())
        say(f"{directory.path}: stopped before its first checkpoint, so it starts anew")
        return Opened(record)
    folder, found = good
    parts.check(found.entry)
    try:
        attributes = parts.restore(found.entry, folder)
    except _FOREIGN as error:
        raise RunError(f"{folder}: does not fit this module and optimizer ({_first(error)})") from error
    record.epoch, record.step = found.epoch, found.step
    if ended:
        record.journal = Journal(None, read_journal(directory.journal))
        say(f"{directory.path}: has ended, so nothing is trained")
        return Opened(record, found, attributes, ended)
    record.store.trust(folder)
    record.store.remove_leftovers()
    directory.remove_leftovers()
    record.journal = Journal.continued(directory.journal, found.journal)
    record.complete(folder)
    say(f"{directory.path}: continued after epoch {found.epoch}")
    if changed := changed_environment(found.environment, parts.device):
        say(f"warning: the last bits may differ from those of a run in one piece ({'; '.join(changed)})")
    return Opened(record, found, attributes, ended)


def _check_same(directory: ModuleRunDirectory, name: str, settings: LoopSettings) -> None:
    """Refuses to continue a run as another one."""
    there_name, there = directory.settings()
    if name != there_name:
        raise RunError(f"{directory.path} holds a run of {there_name}, not {name}")
    for key, here in settings.plain.items():
        if here != there.get(key):
            raise RunError(f"{directory.path} holds another run: {key} is {here!r}, it began with {there.get(key)!r}")


def _check_data(directory: ModuleRunDirectory, parts: TrainedParts) -> None:
    """Refuses to go on with other samples, where it is known which there were."""
    began_with, here = directory.settings()[1].get(DATA), data_fingerprint(parts.train)
    if began_with and here != began_with:
        raise RunError(f"{directory.path} began with other data: give those, or start a run in another directory")


class _Found(NamedTuple):
    """A checkpoint that is good, and where it is."""

    folder: Path
    checkpoint: ModuleCheckpoint


def _last_good(directory: ModuleRunDirectory, store: CheckpointStore, say: Say) -> _Found | None:
    refused = []
    for folder in store.newest_first():
        try:
            found = ModuleCheckpoint.read(folder)
            content_up_to(directory.journal, found.journal)
        except DagrowError as error:
            refused.append(str(error))
            continue
        for reason in refused:
            say(f"warning: {reason}; the checkpoint before it is used")
        return _Found(folder, found)
    if refused:
        raise RunError("; ".join([*refused, "no good checkpoint is left: start the run anew in another directory"]))
    if last_event(directory.journal).get("event", "start") != "start":
        raise RunError(f"{directory.checkpoints} is empty or not there, so the run cannot be continued")
    return None


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
