"""The public functions that take a network or a run directory alike."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from dagrow.build import Network
from dagrow.errors import DagrowError, ExportError
from dagrow.export import Exported, export_network
from dagrow.graph import load_graph, load_run
from dagrow.report import History, picture_format, write_picture
from dagrow.spec import GraphSpec
from dagrow.training import RunDirectory, growth_history, read_journal

_FOREIGN = "the model must come from dagrow.build: only such a module knows its graph"


def export(
    model_or_dir: torch.fx.GraphModule | str | Path, to: str = "python", out: str | Path | None = None
) -> Exported:
    """Writes a grown network as plain PyTorch source, ``torch.export`` or ONNX; it is read back and compared.

    Args:
        model_or_dir: a network from `build`, or a run directory.
        to: ``python``, ``pt2`` or ``onnx``.
        out: directory (python) or file (pt2, onnx) to write; for a run directory, left out, a name inside it.

    Returns:
        What was written, and the largest difference of outputs that was found.

    Raises:
        ExportError: if it cannot be written or does not come back equal.
        RunError: if the directory is not that of a run.
    """
    if isinstance(model_or_dir, Network):
        if out is None:
            raise ExportError("give 'out': where to write")
        return export_network(model_or_dir, to, out)
    if not isinstance(model_or_dir, (str, Path)):
        raise ExportError(_FOREIGN)
    directory = RunDirectory.existing(model_or_dir)
    target = Path(out) if out is not None else directory.path / {"python": "exported"}.get(to, f"model.{to}")
    return export_network(directory.load(), to, target, _name(directory, "network"))


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
        RunError: if the directory is not that of a run.
    """
    if out is not None:
        picture_format(Path(out))
    subject = _subject(graph_or_dir)
    path = subject.path if out is None else Path(out)
    write_picture(subject.history, path, title=subject.title, note=subject.note)
    return path


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
        raise DagrowError(_FOREIGN)
    source = Path(given)
    if not source.is_dir():
        return _Subject(History(load_graph(source)), source.stem, Path(f"{source.stem}.svg"))
    directory = RunDirectory.existing(source)
    title, path = _name(directory, source.resolve().name), source / "growth.svg"
    if history := growth_history(read_journal(directory.journal)):
        return _Subject(history, title, path)
    note = "the journal of this run does not tell the graph after each step: this is the last one"
    return _Subject(History(load_graph(directory.graph)), title, path, note)


def _name(directory: RunDirectory, other: str) -> str:
    """The name of a run, or another one where its file is missing."""
    run_file = directory.path / "run.yaml"
    return load_run(run_file).name if run_file.is_file() else other
