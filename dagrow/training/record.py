"""What a run writes. Everything that reaches the disk goes through here; without a directory nothing does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dagrow.export import export_network
from dagrow.graph import cost
from dagrow.spec import plain_graph
from dagrow.training.directory import RunDirectory
from dagrow.training.epochs import Score
from dagrow.training.journal import Journal
from dagrow.training.progress import Unit
from dagrow.training.state import RunState, Task


class Record:
    """The journal of a run, and the files beside it.

    Args:
        task: the run.
        directory: where to write; None keeps the journal in memory and writes nothing.
    """

    def __init__(self, task: Task, directory: RunDirectory | None) -> None:
        self.task, self.directory = task, directory
        self.journal = Journal(directory.journal if directory else None)

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
            graph=plain_graph(network.spec),
            parameters=size.parameters,
            multiply_adds=size.multiply_adds,
            train_loss=train.loss,
            train=asdict(train),
            test=asdict(test),
        )
        return train, test

    def after(self, unit: Unit, state: RunState) -> None:
        """Keeps the state after a unit of the run, where that is due."""
        if self.directory is not None and unit is not Unit.EPOCH:
            self.directory.save(state.network)

    def finish(self, state: RunState) -> None:
        """Writes the grown network, and as plain PyTorch too."""
        if self.directory is not None:
            self.directory.save(state.network)
            export_network(state.network, "python", self.directory.exported, self.task.spec.name)
