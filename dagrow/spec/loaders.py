"""Specs from files: all that is wrong in one is told together, with lines. Wiring is checked in `graph`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dagrow.errors import Problem, SpecError, did_you_mean, listed
from dagrow.files import open_file
from dagrow.spec.data import source_paths
from dagrow.spec.document import MAX_BYTES, Document, read_document
from dagrow.spec.edges import tidy_edges
from dagrow.spec.graph import GraphSpec, SpecPart
from dagrow.spec.overrides import apply_overrides
from dagrow.spec.problems import problems_of
from dagrow.spec.renamed import renamed_document
from dagrow.spec.run import RunSpec
from dagrow.spec.source import SourceFile

VERSION = 1
_LISTED = 5000

M = TypeVar("M", bound=BaseModel)


class _GraphFile(SpecPart):
    graph: GraphSpec


def read_run(path: str | Path, overrides: Sequence[str] = ()) -> tuple[RunSpec, SourceFile]:
    """Reads a run file.

    Args:
        path: the file.
        overrides: changes on top of it, each ``key.path=value``.

    Returns:
        The run, with absolute paths to its data, and where its entries were written.

    Raises:
        SpecError: with all problems of the file and the overrides.
    """
    return run_of(read_file(path), path, overrides)


def run_of(document: Document, path: str | Path, overrides: Sequence[str] = ()) -> tuple[RunSpec, SourceFile]:
    """The run that a document describes, as `read_run` does.

    Args:
        document: of a run file, or a section of another file that holds a run.
        path: the file; paths to data start at its folder.
        overrides: changes on top of it, each ``key.path=value``.

    Raises:
        SpecError: with all problems of the document and the overrides.
    """
    document = renamed_document(tidy_edges(document))
    options = apply_overrides(document.data, overrides)
    source = SourceFile(str(path), document.lines, options)
    _absolute_data(document.data, Path(path).parent, source)
    return validated(RunSpec, document, source), source


def read_graph(path: str | Path) -> tuple[GraphSpec, SourceFile]:
    """Reads the ``graph:`` section of any file that has one; other sections are not looked at.

    Raises:
        SpecError: with all problems of that section.
    """
    document = tidy_edges(read_file(path))
    ours = {key: value for key, value in document.data.items() if key in ("version", "graph")}
    others = document.data.keys() - ours.keys()
    problems = tuple(problem for problem in document.problems if problem.path[:1] not in [(key,) for key in others])
    if "graph" not in ours:
        near = did_you_mean("graph", others)
        problem = Problem(("graph",), f"there is no section 'graph'{near}; found: {listed(document.data)}")
        raise SourceFile(str(path), document.lines).error([problem])
    source = SourceFile(str(path), document.lines)
    return validated(_GraphFile, replace(document, data=ours, problems=problems), source).graph, source


def read_file(path: str | Path) -> Document:
    """A YAML file as plain data with lines.

    Raises:
        SpecError: if there is no such file, or it is not a mapping in YAML.
    """
    return read_document(_content(Path(path)), str(path))


def validated(model: type[M], document: Document, source: SourceFile) -> M:
    """The spec that a document describes.

    Raises:
        SpecError: with all problems, each at its line.
    """
    problems = list(document.problems)
    data = dict(document.data)
    version = data.pop("version", VERSION)
    if type(version) is not int or version != VERSION:
        problems.append(Problem(("version",), f"version {version!r:.40} is not supported; supported: {VERSION}"))
    try:
        spec = model.model_validate(data)
    except ValidationError as error:
        # An entry that could not be taken as it is written has its problem already.
        told = {problem.path for problem in problems}
        problems += [p for p in problems_of(error, model, data, source.line) if p.path not in told]
        raise source.error(problems) from None
    if problems:
        raise source.error(problems)
    return spec


def _absolute_data(data: dict[str, Any], folder: Path, source: SourceFile) -> None:
    """Paths in a file start at its folder, paths of an override at the current one."""
    section = data.get("data")
    if not isinstance(section, dict):
        return
    for entry, key, path in source_paths(section):
        value = entry[key]
        if isinstance(value, str) and "\0" not in value:
            base = Path() if source.option(("data", *path)) else folder
            given = base / value
            # The folder is resolved and the name kept: it may be a link whose target has no suffix.
            entry[key] = str(Path(os.path.realpath(given.parent)) / given.name)


def _content(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        message = f"no such file{_near_files(path)}"
    except IsADirectoryError:
        inside = [str(path / name) for name in ("graph.yaml", "run.yaml") if (path / name).is_file()]
        message = f"is a folder, not a file{_asked(inside)}"
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
    raise SpecError([Problem((), message)], str(path))


def _near_files(path: Path) -> str:
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, _LISTED) if entry.is_file()]
    except OSError:
        return f": the folder '{path.parent}' cannot be read or does not exist"
    near = difflib.get_close_matches(path.name, sorted(names), n=3)
    return _asked([str(path.parent / name) for name in near])


def _asked(names: Sequence[str]) -> str:
    return f" (did you mean {' or '.join(names)}?)" if names else ""
