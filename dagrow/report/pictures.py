"""Pictures as files: which formats there are, and what they need. The drawing itself is in `picture`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from dagrow.errors import DagrowError, listed
from dagrow.methods import Scene
from dagrow.report.history import History
from dagrow.report.marks import Bar, NodeMark
from dagrow.spec import GraphSpec, write_atomically

FORMATS = ("svg", "png")
_PACKAGES = ("matplotlib", "graphlay")


def picture_format(path: Path) -> str:
    """The format that the suffix of a file asks for.

    Raises:
        DagrowError: if it is none of those that can be drawn.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        allowed = listed(f".{name}" for name in FORMATS)
        raise DagrowError(f"{path}: a picture ends with one of: {allowed}")
    return form


def need_packages(*names: str) -> None:
    """Tries what pictures need and an installation may lack.

    Raises:
        DagrowError: naming the first that is missing.
    """
    for package in names:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise DagrowError(f"a picture needs '{package}': pip install 'dagrow[plots]'") from error


def write_picture(history: History, path: Path, *, title: str, note: str = "") -> None:
    """Draws a graph or its growth.

    Args:
        history: what to draw.
        path: the file; its suffix says the format.
        title: stands above the picture.
        note: a line below the title.

    Raises:
        DagrowError: if the suffix is unknown, a package is missing or the file cannot be written.
    """
    _write(picture_bytes(history, picture_format(path), title=title, note=note), path)


def picture_bytes(history: History, form: str, *, title: str, note: str = "") -> bytes:
    """As `write_picture`, not written anywhere; ``form`` is one of `FORMATS`.

    Raises:
        DagrowError: if a package is missing.
    """
    need_packages(*_PACKAGES)
    from dagrow.report.picture.figure import draw

    return draw(history, form, title=title, note=note)


def write_marked_picture(
    graph: GraphSpec,
    path: Path,
    marks: Mapping[str, NodeMark],
    bars: Sequence[Bar],
    bars_title: str,
    *,
    title: str,
    note: str = "",
) -> None:
    """Draws a graph whose nodes are marked by a share, and beside it some bars.

    Args:
        graph: what to draw.
        path: the file; its suffix says the format.
        marks: by node.
        bars: beside the graph; none may be.
        bars_title: stands above them.
        title: stands above the picture.
        note: a line below the title.

    Raises:
        DagrowError: if the suffix is unknown, a package is missing or the file cannot be written.
    """
    content = marked_picture_bytes(graph, picture_format(path), marks, bars, bars_title, title=title, note=note)
    _write(content, path)


def marked_picture_bytes(
    graph: GraphSpec,
    form: str,
    marks: Mapping[str, NodeMark],
    bars: Sequence[Bar],
    bars_title: str,
    *,
    title: str,
    note: str = "",
) -> bytes:
    """As `write_marked_picture`, not written anywhere; ``form`` is one of `FORMATS`.

    Raises:
        DagrowError: if a package is missing.
    """
    need_packages(*_PACKAGES)
    from dagrow.report.picture.marked import draw_marked

    return draw_marked(graph, form, marks, bars, bars_title, title=title, note=note)


def write_scene(scene: Scene, path: Path, *, title: str) -> None:
    """Draws a decision in a plane, as a PNG.

    Args:
        scene: what to draw.
        path: the file.
        title: stands above the picture.

    Raises:
        DagrowError: if a package is missing or the file cannot be written.
    """
    need_packages("matplotlib")
    from dagrow.report.picture.decision_plot_data import draw_scene

    _write(draw_scene(scene, title), path)


def _write(content: bytes, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DagrowError(f"{path}: cannot be written: {error.strerror or error}") from error
    write_atomically(content, path)
