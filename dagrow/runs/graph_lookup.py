"""The graph of any moment of any run, found by what a person calls it: ``runs/digits``, ``runs/digits@3``, a file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dagrow.errors import RunError
from dagrow.graph import load_graph
from dagrow.journal.reader import read_journal
from dagrow.journal.replay import Replay, replay_to
from dagrow.report import GraphDiff
from dagrow.runs.directory import RunDirectory
from dagrow.spec import GraphSpec

STEPS = {"start": 0, "end": None}
"""Words for steps."""


class GraphRef(NamedTuple):
    """A graph and what to call it."""

    graph: GraphSpec
    name: str


def resolve_graph(source: str | Path) -> GraphRef:
    """The graph that is meant.

    Args:
        source: a run or graph file; a run directory, for its graph as it is now; or ``DIR@STEP``, for the graph
            after that growth step, where ``start`` and ``end`` are steps too.

    Raises:
        SpecError: if a file is not that of a graph.
        RunError: if there is no such directory or step.
    """
    path = Path(source)
    if path.is_dir():
        return GraphRef(run_directory(path).load_graph(), str(source))
    folder, at, step = str(source).rpartition("@")
    if at and not path.exists():
        wanted = read_step(step)
        return GraphRef(replay_run(folder, wanted).graph, f"{folder}, {_named(wanted)}")
    return GraphRef(load_graph(path), str(source))


def read_step(text: str) -> int | None:
    """The number of a step; None for the last one.

    Raises:
        RunError: if the text means none.
    """
    if text in STEPS:
        return STEPS[text]
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise RunError(f"'{text}' is no step: give a number from 0, start or end")
    return int(text)


def replay_run(path: str | Path, step: int | None = None) -> Replay:
    """The graph of one step of a run, the last if left out, made again from its journal.

    Raises:
        RunError: if that is no run directory, there is no such step, or the journal does not tell the changes.
    """
    return replay_to(read_journal(run_directory(path).journal), step)


def run_directory(path: str | Path) -> RunDirectory:
    """A directory with a journal and a graph; the run in it may be going on.

    Raises:
        RunError: if it is none.
    """
    directory = RunDirectory(Path(path))
    if not directory.path.is_dir():
        raise RunError(f"{path} is not a directory; give one that 'dagrow grow' has made")
    directory.check_kind()
    for file in (directory.journal, directory.graph):
        if not file.is_file():
            raise RunError(f"{path} is no run directory: there is no {file.name} in it")
    directory.check_sums(directory.journal, directory.graph)
    return directory


def diff_graphs(first: GraphRef, second: GraphRef) -> GraphDiff:
    """What differs between two graphs."""
    return GraphDiff(first.graph, second.graph, (first.name, second.name))


def _named(step: int | None) -> str:
    return next((word for word, number in STEPS.items() if number == step), f"step {step}")
