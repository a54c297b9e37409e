"""A first run file from a data file: what the data are is read off them, and comments say what can be changed.

The file is read again, with its data, before it is put in its place: what is written can be grown.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from dagrow.data import load_data
from dagrow.errors import DagrowError, DataError, printable
from dagrow.files import replace_file
from dagrow.graph import Dag, cost, load_run
from dagrow.objectives import LOSSES
from dagrow.registry import unknown
from dagrow.spec import RunSpec
from dagrow.starter.arrays import ARRAYS, LEAST_PIXELS, read_arrays
from dagrow.starter.found import Found
from dagrow.starter.image_folders import read_image_folders
from dagrow.starter.tables import ENDINGS, PLAIN, read_csv, read_mixed

READERS: dict[str, Callable[[Path, str | None], Found]] = {
    **dict.fromkeys(ENDINGS, read_mixed), PLAIN: read_csv, ARRAYS: read_arrays,
}  # fmt: skip
"""By the ending of the file; a folder has images."""
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_PLAIN = re.compile(r"[A-Za-z.][\w./-]*", re.ASCII)


def _reader(data: Path) -> Callable[[Path, str | None], Found]:
    ending = data.suffix.lower()
    if data.is_dir():
        return read_image_folders
    if ending not in READERS:
        raise DataError(unknown("kind of data file", ending, READERS))
    return READERS[ending]


def write_first_run(data: Path, out: Path, target: str | None = None) -> str:
    """Writes a run file for some data.

    Args:
        data: a table, such as a ``.csv`` file, arrays in an ``.npz`` file, or a folder of class folders of images.
        out: the file to write.
        target: column of a table to learn; found by its name if left out.

    Returns:
        What was found, and what to do next, in lines.

    Raises:
        DagrowError: if ``out`` is there already, the data cannot be read, or a run could not read them.
    """
    if out.exists() or out.is_symlink():
        raise DagrowError(f"{out} is there already; give another --out, or remove it first")
    if not out.parent.is_dir():
        raise DagrowError(f"{out}: there is no folder {out.parent}")
    try:
        found = _reader(data)(data, target)
    except DataError as error:
        raise DataError(f"{data}: {error}") from error
    text = first_run(found, _relative(data, out), _NAME.sub("-", data.stem).strip("-._") or "run")
    trial = out.with_name(f".{out.name}.part")
    try:
        replace_file(trial, text.encode("utf-8"))
        run = load_run(trial)
        load_data(run.data, Dag.of(run.graph), LOSSES[run.training.loss], run.seed)
        os.replace(trial, out)
    except OSError as error:
        raise DagrowError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        trial.unlink(missing_ok=True)
    return "\n".join([*found.told, f"{out}: {_size(run)}; next: dagrow check {out}, dagrow grow {out}"])


def _size(run: RunSpec) -> str:
    return f"begins with {cost(Dag.of(run.graph)).parameters} parameters"


def first_run(found: Found, path: str, name: str) -> str:
    """The text of the run file.

    Args:
        found: what the data are.
        path: of the data, as the file shall name it.
        name: of the run.
    """
    nodes, edges = (_maps if found.are_maps else _vector)(found)
    start = _parameters(found)
    fields = _fields(found.source, path)
    fields += ", standardize: true" if found.standardize else ""
    loss = "" if found.classes else "training:\n  loss: mse             # squared error: numbers are learned\n"
    told = "\n".join(f"# {_comment(sentence)}" for sentence in found.told)
    return f"""# A first run file, written by 'dagrow init' from {_comment(path)}.
{told}
# Every field: docs/reference/run-file.md, or 'dagrow check --schema' for an editor.
name: {_text(name)}

# Paths are relative to this file. A fifth of the samples is kept for testing unless the data have a test set.
data: {{{fields}}}

# Where growth begins: few features, which it adds to where the loss gains most.
graph:
  inputs:
    x: {{shape: [{", ".join(map(str, found.shape))}]}}
  nodes:
{nodes}  edges:
{edges}  outputs: [y]

# Without a timetable a run trains until a validation loss stalls, grows, and goes on while that helps.
# Learning rate, passes and widths need not be set.
{loss}growth:
  candidates: [widen]   # also: node, edge, layer. 'dagrow check' says what each could do here
  budget: {{parameters: {max(20_000, 10 * start)}}}   # the network never has more
seed: 0
"""


def _vector(found: Found) -> tuple[str, str]:
    """Two hidden layers of two features each."""
    flat = "" if len(found.shape) == 1 else ", flatten: true"
    nodes = (
        "    h1: {size: 2, activation: selu}\n"
        f"    h2: {{size: 2, activation: selu{flat}}}\n"
        f"    y: {{size: {found.outputs}}}{_said(found)}\n"
    )
    return nodes, "    x -> h1: linear\n    h1 -> h2: linear\n    h2 -> y: linear\n"


def _maps(found: Found) -> tuple[str, str]:
    """Convolutions, each behind the first at half the size, the mean over positions, the output."""
    levels = 1
    extent = min(found.shape[1:])
    while extent >= 2 * LEAST_PIXELS and levels < 4:
        extent, levels = extent // 2, levels + 1
    nodes, edges, above = "", "", "x"
    for level in range(1, levels + 1):
        last = level == levels
        pool = "pool: global_average" if last else "pool: {kind: max, kernel: 2}"
        nodes += f"    c{level}: {{size: 4, activation: relu, norm: batch, {pool}}}\n"
        edges += f"    {above} -> c{level}: {{op: conv2d, kernel: 3, padding: same}}\n"
        above = f"c{level}"
    nodes += f"    y: {{size: {found.outputs}}}{_said(found)}\n"
    return nodes, f"{edges}    {above} -> y: linear\n"


def _said(found: Found) -> str:
    if not found.classes:
        return "   # the numbers to predict"
    return f"   # {found.outputs} classes"


def _parameters(found: Found) -> int:
    """About what the first graph has."""
    return (40 * found.shape[0] if found.are_maps else 2 * prod(found.shape)) + 40 * found.outputs


def _fields(source: Mapping[str, Any], path: str) -> str:
    """The data section on one line, with the path in it."""
    return ", ".join(f"{name}: {_value(value, path)}" for name, value in source.items())


def _value(value: Any, path: str) -> str:
    match value:
        case Mapping():
            return f"{{{_fields(value, path)}}}"
        case Path():
            return _text((PurePosixPath(path) / value.as_posix()).as_posix())
        case bool():
            return json.dumps(value)
        case _:
            return _text(value)


def _text(value: str) -> str:
    """A value as YAML inside of braces, quoted where it must be."""
    plain = _PLAIN.fullmatch(value) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value, ensure_ascii=not value.isprintable())


def _comment(text: str) -> str:
    """Text that cannot end a comment."""
    return printable(" ".join(text.split()))


def _relative(data: Path, out: Path) -> str:
    try:
        return Path(os.path.relpath(str(data), str(out.parent))).as_posix()
    except ValueError:  # Another drive.
        return data.absolute().as_posix()
