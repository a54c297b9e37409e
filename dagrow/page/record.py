"""What a run directory says of a run, gathered for its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dagrow.data import Preprocessing
from dagrow.errors import DagrowError
from dagrow.files import open_file
from dagrow.graph import Dag
from dagrow.journal import growth_history, read_journal
from dagrow.report import History
from dagrow.runs import ModuleRunDirectory, RunDirectory, events_of_run
from dagrow.spec import GraphSpec
from dagrow.spot import Spot

Event = Mapping[str, Any]

_MOST_TEXT = 2**20


@dataclass(frozen=True)
class RunRecord:
    """A run as its directory tells it.

    Attributes:
        name: of the run.
        events: of the journal.
        history: graphs and gains by growth step; None where the journal has no graphs.
        graph: as last saved; None of a module of one's own.
        run_file: its text, empty where it is missing.
        preprocessing: of the samples; None where it is missing or damaged.
        spot: bottlenecks of the network as it is now, if they were asked for.
    """

    name: str
    events: tuple[Event, ...]
    history: History | None
    graph: GraphSpec | None
    run_file: str
    preprocessing: Preprocessing | None
    spot: Spot | None = None

    @classmethod
    def read(cls, path: Path, spot: Spot | None) -> RunRecord:
        """Reads a run directory.

        Raises:
            RunError: if it is none, or its files are damaged.
        """
        if ModuleRunDirectory.has_begun(path):
            return cls._of_module(path)
        directory = RunDirectory.existing(path)
        events = read_journal(directory.journal)
        graph = directory.load_graph()
        started = next((event for event in events if event["event"] == "start"), {})
        try:
            found = directory.load_preprocessing(Dag.of(graph))
        except DagrowError:
            found = None
        return cls(
            str(started.get("name") or path.resolve().name),
            tuple(events),
            growth_history(events),
            graph,
            _text_of(directory.run),
            found,
            spot,
        )

    @classmethod
    def _of_module(cls, path: Path) -> RunRecord:
        events = tuple(events_of_run(path))
        name = next((str(event["name"]) for event in events if event.get("name")), path.resolve().name)
        return cls(name, events, None, None, _text_of(ModuleRunDirectory(path).run), None)

    def of(self, *kinds: str) -> list[Event]:
        """The events of some kinds, in order."""
        return [event for event in self.events if event["event"] in kinds]

    @cached_property
    def ended(self) -> bool:
        """Whether the run has come to its end."""
        return bool(self.of("end"))


def _text_of(path: Path) -> str:
    try:
        with open_file(path, follow=False) as file:
            return file.read(_MOST_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""
