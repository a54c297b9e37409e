"""The public functions that take a network or a run directory alike."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from dagrow.build import Network, why_foreign
from dagrow.data import Preprocessing
from dagrow.errors import DagrowError, ExportError, RunError
from dagrow.export import Exported, export_network
from dagrow.graph import load_graph, load_run
from dagrow.journal import Replay, growth_history, read_journal
from dagrow.report import GraphDiff, History, SpaceDiff, picture_format, write_picture
from dagrow.runs import (
    GraphRef,
    Reverted,
    RunDirectory,
    diff_graphs,
    replay_run,
    resolve_graph,
    resolve_sizes,
    revert_run,
)
from dagrow.spec import GraphSpec

AnyGraph = GraphSpec | torch.fx.GraphModule | str | Path


def export(
    model_or_dir: torch.fx.GraphModule | str | Path,
    to: str = "python",
    out: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
) -> Exported:
    """Writes a grown network as plain PyTorch source, ``torch.export`` or ONNX; it is read back and compared.

    The export of a run reads raw values, as they are in the file of its data, and knows the names of its classes.

    Args:
        model_or_dir: a network from `build`, or a run directory.
        to: ``python``, ``pt2`` or ``onnx``.
        out: directory (python) or file (pt2, onnx) to write; for a run directory, left out, a name inside it.
        preprocessing: that of a `GrowthResult`, for its network to read raw values too; a run directory has its own.

    Returns:
        What was written, and the largest difference of outputs that was found.

    Raises:
        ExportError: if it cannot be written or does not come back equal.
        RunError: if the directory is not that of a run.
    """
    if isinstance(model_or_dir, Network):
        if out is None:
            raise ExportError("give 'out': where to write")
        return export_network(model_or_dir, to, out, preprocessing=preprocessing)
    if not isinstance(model_or_dir, (str, Path)):
        raise ExportError(why_foreign(model_or_dir))
    directory = RunDirectory.existing(model_or_dir)
    target = Path(out) if out is not None else directory.path / {"python": "exported"}.get(to, f"model.{to}")
    network = directory.load()
    own = preprocessing or directory.load_preprocessing(network.dag)
    written = export_network(network, to, target, _name(directory, "network"), own)
    if directory.ended:
        # The export in it may be another one now.
        directory.write_sums()
    return written


def show(graph_or_dir: GraphSpec | torch.fx.GraphModule | str | Path, out: str | Path | None = None) -> Path:
    """Draws a graph, or the growth of a run: what was there, what each step brought, and its gain.

    Args:
        graph_or_dir: a graph spec, a network from `build`, a run or graph file, or a run directory.
        out: the picture to write, ``.svg`` or ``.png``. Left out, it is ``growth.svg`` inside a run directory; else it
            is in the current folder, ``NAME.svg`` for a file ``NAME.yaml`` and ``graph.svg`` for a spec or network.

    Returns:
        The file that was written.

    Raises:
        DagrowError: if the suffix is neither, the extra ``plots`` is missing or the file cannot be written.
        SpecError: if the file is not that of a graph.
        RunError: if the directory is not that of a run, or there is a link in the place of the picture.
    """
    if out is not None:
        picture_format(Path(out))
    subject = _subject(graph_or_dir)
    path = subject.path if out is None else Path(out)
    if out is None and path.is_symlink():
        raise RunError(f"{path} is a link, and would not be written to unasked; give 'out'")
    write_picture(subject.history, path, title=subject.title, note=subject.note)
    return path


def diff(before: AnyGraph, after: AnyGraph) -> GraphDiff | SpaceDiff:
    """What differs between two graphs: nodes, edges, sizes, parameters, multiply-adds. Print the answer.

    Args:
        before: a graph spec, a network from `build`, a run or graph file, a run directory for its graph as it is
            now, or ``"DIR@STEP"`` for the graph of a run after that growth step; ``start`` and ``end`` are steps too.
            Of runs of `grow_module`, the sizes of the channel spaces are compared.
        after: the same.

    Returns:
        The difference; false if the graphs are the same.

    Raises:
        SpecError: if a file is not that of a graph.
        RunError: if there is no such directory or step, or only one is of a module of one's own.
    """
    sizes = [resolve_sizes(given) if isinstance(given, (str, Path)) else None for given in (before, after)]
    if sizes[0] is not None and sizes[1] is not None:
        return SpaceDiff(sizes[0], sizes[1])
    if found := next((each for each in sizes if each is not None), None):
        raise RunError(f"{found.name} is of a module of one's own, and the other is a graph: they cannot be compared")
    return diff_graphs(_moment(before, "before"), _moment(after, "after"))


def replay(directory: str | Path, to: int | None = None) -> Replay:
    """Makes the graph of one growth step again, from the first graph and the changes that the journal tells.

    Args:
        directory: of a run, which may be going on.
        to: the step, 0 for the start; the last if left out.

    Returns:
        The graph, and whether it is identical to the one that was there: their hashes are compared at each step.

    Raises:
        RunError: if that is no run directory, or there is no such step.
    """
    return replay_run(directory, to)


def revert(directory: str | Path, to: int, out: str | Path | None = None) -> Reverted:
    """Makes a run stand again as it stood after a growth step; ``grow(..., resume=True)`` goes on from there.

    Args:
        directory: of a run that has ended or was stopped.
        to: the growth step, 0 for the start.
        out: a new directory for it; left out, it takes the place of the old one, which is kept under another name.

    Returns:
        Where it stands now, and where the run as it was is kept.

    Raises:
        RunError: if the weights of that step are not kept, files are damaged, or a process works on the run.
    """
    return revert_run(directory, to, out)


def _moment(given: AnyGraph, name: str) -> GraphRef:
    if isinstance(given, Network):
        given = given.spec
    if isinstance(given, GraphSpec):
        return GraphRef(given, name)
    if not isinstance(given, (str, Path)):
        raise DagrowError(why_foreign(given))
    return resolve_graph(given)


class _Subject(NamedTuple):
    """What to draw, and where if nothing is said."""

    history: History
    title: str
    path: Path
    note: str = ""


def _subject(given: GraphSpec | torch.nn.Module | str | Path) -> _Subject:
    if isinstance(given, Network):
        given = given.spec
    if isinstance(given, GraphSpec):
        return _Subject(History(given), "graph", Path("graph.svg"))
    if not isinstance(given, (str, Path)):
        raise DagrowError(why_foreign(given))
    source = Path(given)
    if not source.is_dir():
        return _Subject(History(load_graph(source)), source.stem, Path(f"{source.stem}.svg"))
    directory = RunDirectory.existing(source)
    title, path = _name(directory, source.resolve().name), source / "growth.svg"
    if history := growth_history(read_journal(directory.journal)):
        return _Subject(history, title, path)
    note = "the journal of this run does not tell the graph after each step: this is the last one"
    return _Subject(History(directory.load_graph()), title, path, note)


def _name(directory: RunDirectory, other: str) -> str:
    """The name of a run, or another one where its file is missing."""
    run_file = directory.path / "run.yaml"
    return load_run(run_file).name if run_file.is_file() else other
