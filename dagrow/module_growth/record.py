"""What a run of a module writes: its journal, checkpoints, and the module; without a directory nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagrow.capture import CapturedModule
from dagrow.files import replace_file
from dagrow.files.disk import disk_errors
from dagrow.journal import SCHEMA, Journal
from dagrow.module_growth.data_fingerprint import DATA, data_fingerprint
from dagrow.module_growth.settings import LoopSettings
from dagrow.module_growth.trained_parts import TrainedParts
from dagrow.resize import class_name, module_files
from dagrow.runs.checkpoint import CheckpointStore, GrowthStepStore, ModuleCheckpoint, environment
from dagrow.runs.module_directory import ModuleRunDirectory
from dagrow.serialization import pack


class ModuleRecord:
    """The record of a run.

    Args:
        parts: that are trained.
        settings: of the loop.
        directory: where all is written; None where nothing is.

    Attributes:
        journal: in memory only, where nothing is written.
        epoch: that is done.
        step: growth steps so far.
        begun: whether it is written down what the run is to be.
        store: of the checkpoints, where all is written.
    """

    def __init__(self, parts: TrainedParts, settings: LoopSettings, directory: ModuleRunDirectory | None) -> None:
        self.parts, self.settings, self.directory = parts, settings, directory
        self.journal = Journal(None if directory is None else directory.journal)
        self.epoch, self.step, self.begun = 0, 0, False
        self._sizes: dict[str, int] = {}
        if directory is not None:
            self.store = CheckpointStore(directory.checkpoints)

    def begin(self, captured: CapturedModule) -> None:
        """Writes down what the run is to be.

        Args:
            captured: the module.

        Raises:
            RunError: if the disk refuses, or something cannot be kept.
        """
        name = class_name(self.parts.model)
        if self.directory is not None and not self.begun:
            # Asked first, so that nothing is left behind where something cannot be kept.
            for part, entry in self.parts.entry().items():
                pack(entry, part, {})
            self.directory.begin(name, {**self.settings.plain, DATA: data_fingerprint(self.parts.train)})
        self.see(captured)
        self._write_sized("start", schema=SCHEMA, name=name, seed=self.settings.seed, train_loss=None)
        self._keep(captured, for_good=True)

    def after_epoch(self, loss: float, seconds: float, samples: int) -> None:
        """Adds an epoch; the state is kept by `close_epoch`, once it has grown."""
        self.epoch += 1
        self.journal.write("epoch", epoch=self.epoch, running_loss=loss, seconds=seconds, samples=samples)

    def after_growth(self, captured: CapturedModule, loss: float, seconds: float, **entries: Any) -> Mapping[str, Any]:
        """Adds a growth step.

        Args:
            captured: the module afterwards.
            loss: of the epoch before it.
            seconds: that it took.
            entries: of the event.
        """
        self.step += 1
        self.see(captured)
        return self._write_sized("growth", step=self.step, train_loss=loss, seconds=seconds, **entries)

    def close_epoch(self, captured: CapturedModule, grown: bool) -> None:
        """Keeps the state; that after an insertion for good."""
        self._keep(captured, for_good=grown)

    def finish(self, captured: CapturedModule, loss: float) -> None:
        """Writes the grown module; the last event says that the run has ended."""
        if self.directory is not None:
            with disk_errors(self.directory.path):
                for name, data in module_files(captured).items():
                    replace_file(self.directory.path / name, data)
        self._write_sized("end", train_loss=loss)
        if self.directory is not None:
            self.directory.write_sums()

    def see(self, captured: CapturedModule) -> None:
        """Looks at the sizes of its spaces."""
        self._sizes = {space.name: space.size for space in captured.growable}

    def _write_sized(self, event: str, **entries: Any) -> Mapping[str, Any]:
        size = self.parts.parameter_count
        self.journal.write(event, epoch=self.epoch, **entries, spaces=self._sizes, parameters=size)
        return self.journal.events[-1]

    def _keep(self, captured: CapturedModule, for_good: bool) -> None:
        if self.directory is None:
            return
        state = ModuleCheckpoint(
            self.epoch, self.step, self.journal.position, environment(self.parts.device), self.parts.entry()
        )
        self.store.write(state.files(module_files(captured)))
        if for_good:
            with disk_errors(self.directory.path):
                GrowthStepStore(self.directory.steps).keep(self.step, self.store.good[-1])

    def complete(self, checkpoint: Path) -> None:
        """Keeps a checkpoint for good, where the run died between its growth step and that."""
        events = self.journal.events
        if self.directory is not None and events and events[-1]["event"] in ("start", "growth"):
            kept = GrowthStepStore(self.directory.steps)
            kept.remove_leftovers()
            if not kept.path(self.step).is_dir():
                with disk_errors(self.directory.path):
                    kept.keep(self.step, checkpoint)
