"""What a run writes. Everything that reaches the disk goes through here; without a directory nothing does."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dagrow.data import fingerprint
from dagrow.errors import DagrowError
from dagrow.export import export_network
from dagrow.files.disk import disk_errors
from dagrow.graph import cost
from dagrow.journal.replay import graph_entries, last_graph
from dagrow.journal.writer import Journal
from dagrow.planner import Candidate
from dagrow.report import write_scene
from dagrow.runs.checkpoint import CheckpointStore, GrowthStepStore, capture
from dagrow.runs.directory import RunDirectory
from dagrow.spec import graph_hash
from dagrow.training.epochs import Score
from dagrow.training.progress import Progress
from dagrow.training.schedules import Unit
from dagrow.training.state import RunContext, RunState


class RunRecorder:
    """The journal of a run, its checkpoints, and the files beside them.

    Attributes:
        directory: where all of it is; None where nothing is written.
        journal: in memory only, where nothing is written.
        kept: what was done at the last checkpoint; None before the first.
    """

    def __init__(self, task: RunContext, directory: RunDirectory | None) -> None:
        self.task, self.directory = task, directory
        self.journal = Journal(directory.journal if directory else None)
        self.kept: Progress | None = None
        self._time = time.monotonic()
        if directory is not None:
            self._samples = fingerprint(task.split)
            self._store = CheckpointStore(directory.checkpoints)

    @classmethod
    def continued(
        cls, task: RunContext, directory: RunDirectory, journal: Journal, store: CheckpointStore
    ) -> RunRecorder:
        """The record of a run that is taken up again: with the journal up to there, and its checkpoints."""
        record = cls(task, directory)
        record.journal, record._store = journal, store
        return record

    def begin(self) -> None:
        """Writes what is done to inputs; again where a run goes on, whose last process may have stopped before it."""
        if self.directory is not None:
            self.directory.save_preprocessing(self.task.split.preprocessing)

    def write(self, event: str, **entries: Any) -> None:
        """Adds an event to the journal."""
        self.journal.write(event, **entries)

    def write_scored(self, event: str, state: RunState, **entries: Any) -> tuple[Score, Score]:
        """Adds an event with the network as it is: its graph, size and scores; the scores are returned."""
        split, network = self.task.split, state.network
        train, test = (self.task.score(network, samples) for samples in (split.train, split.test))
        size = cost(network.dag)
        self.journal.write(
            event,
            **entries,
            epoch=state.progress.epoch,
            **graph_entries(network.spec, last_graph(self.journal.events)),
            parameters=size.parameters,
            multiply_adds=size.multiply_adds,
            train_loss=train.loss,
            train=asdict(train),
            test=asdict(test),
        )
        return train, test

    def draw(self, inserted: Candidate, step: int) -> str:
        """Draws why a growth step did what it did, where its method has something to draw.

        Returns:
            Why it could not be drawn, which is no reason to end a run; empty if all is well.
        """
        why = inserted.why
        if self.directory is None or why is None or why.scene is None:
            return ""
        try:
            write_scene(why.scene, self.directory.explained(step), title=f"step {step}: {why}")
        except DagrowError as error:
            return str(error)
        return ""

    def after(self, unit: Unit, state: RunState) -> None:
        """Keeps the state after a unit of the run, where that is due."""
        if self.directory is None:
            return
        if unit in (Unit.START, Unit.GROWTH) and self.task.spec.training.checkpoint.steps:
            self._keep_for_good(self.directory, state)
        elif unit is not Unit.EPOCH or self._is_due(state.progress):
            self.keep(self.directory, state)

    def _keep_for_good(self, directory: RunDirectory, state: RunState) -> None:
        """Writes a checkpoint to which the run can be reverted later on."""
        done, graph = state.progress, graph_hash(state.network.spec)
        self.journal.write("checkpoint", epoch=done.epoch, step=done.step, graph_hash=graph)
        self.keep(directory, state)
        with disk_errors(directory.path):
            GrowthStepStore(directory.steps).keep(done.step, self._store.good[-1])

    def complete(self, done: Progress, checkpoint: Path) -> None:
        """Keeps for good the checkpoint of a growth step, where the run died before it could."""
        if self.directory is None or done.since_growth or not self.task.spec.training.checkpoint.steps:
            return
        kept = GrowthStepStore(self.directory.steps)
        kept.remove_leftovers()
        if not kept.path(done.step).is_dir():
            with disk_errors(self.directory.path):
                kept.keep(done.step, checkpoint)

    def keep(self, directory: RunDirectory, state: RunState) -> None:
        """Writes a checkpoint, and graph and weights as they are."""
        run = self.task.spec
        self._store.write(capture(run, self._samples, self.journal.position, state, self.task.units_entry()).files())
        self.kept, self._time = state.progress, time.monotonic()
        directory.save(self.task.in_user_units(state.network))

    def finish(self, state: RunState) -> tuple[Score, Score]:
        """Writes the grown network, as plain PyTorch too; the last event says that the run has ended.

        Returns:
            The scores on training and test samples.
        """
        if self.directory is not None:
            network = self.task.in_user_units(state.network)
            self.directory.save(network)
            export_network(
                network, "python", self.directory.exported, self.task.spec.name, self.task.split.preprocessing
            )
        scores = self.write_scored("end", state)
        if self.directory is not None:
            self.directory.write_sums()
            self._store.remove_all()
        return scores

    def kept_text(self, meaning: str) -> str:
        """What is on the disk, for the message of a run that stops."""
        if self.directory is None or self.kept is None or not self.directory.path.is_dir():
            return "nothing is kept"
        return f"{meaning} {self.kept}, in {self.directory.path}"

    def _is_due(self, done: Progress) -> bool:
        interval, last = self.task.spec.training.checkpoint, self.kept or Progress()
        many = interval.epochs is not None and done.epoch - last.epoch >= interval.epochs
        return many or time.monotonic() - self._time >= interval.seconds
