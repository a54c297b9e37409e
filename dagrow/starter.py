"""A first run file from a data file: what the data are is read off them, and comments say what can be changed.

The file is read again, with its data, before it is put in its place: what is written can be grown.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dagrow.data import load_data
from dagrow.errors import DagrowError, DataError, did_you_mean, listed, printable
from dagrow.files import open_file, replace_file
from dagrow.graph import Dag, cost, load_run
from dagrow.layout import TensorLayout
from dagrow.objectives import LOSSES
from dagrow.registry import Registry
from dagrow.spec import RunSpec

TARGETS = ("target", "label", "labels", "class", "y", "outcome", "response", "quality", "species", "diagnosis")
"""Names by which a column to learn is found; of several the first here, else the last column."""
MOST_CLASSES = 50
"""Whole numbers of more values than this are quantities, as are those that hardly repeat."""
REPEATS = 10
"""Samples per class that whole numbers need, on average, to be classes."""
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_PLAIN = re.compile(r"[A-Za-z.][\w./-]*", re.ASCII)
_LEAST_PIXELS = 4


@dataclass(frozen=True)
class Found:
    """What the data are.

    Attributes:
        source: the line of the ``data`` section, without the path: kind, and further fields.
        samples: how many.
        shape: of one sample, as the graph is to read it.
        outputs: classes, or numbers to be predicted.
        classes: whether classes are learned.
        told: what was decided, and why, in sentences.
        standardize: whether features shall be scaled.
    """

    source: dict[str, str]
    samples: int
    shape: tuple[int, ...]
    outputs: int
    classes: bool
    told: tuple[str, ...]
    standardize: bool

    @property
    def are_maps(self) -> bool:
        """Whether samples have positions."""
        return bool(TensorLayout.of(self.shape).positions)


def write_first_run(data: Path, out: Path, target: str | None = None) -> str:
    """Writes a run file for some data.

    Args:
        data: a ``.csv`` or ``.npz`` file.
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
        found = READERS.find(data.suffix.lower())(data, target)
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
    source = {kind: path if value == "" else value for kind, value in found.source.items()}
    fields = ", ".join(f"{kind}: {_text(value)}" for kind, value in source.items())
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
    while extent >= 2 * _LEAST_PIXELS and levels < 4:
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


def _text(value: str) -> str:
    """A value as YAML inside of braces, quoted where it must be."""
    plain = _PLAIN.fullmatch(value) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value)


def _comment(text: str) -> str:
    """Text that cannot end a comment."""
    return printable(" ".join(text.split()))


def _relative(data: Path, out: Path) -> str:
    try:
        return Path(os.path.relpath(str(data), str(out.parent))).as_posix()
    except ValueError:  # Another drive.
        return data.absolute().as_posix()


def _read_table(path: Path, target: str | None) -> Found:
    """A table with a header line."""
    rows = _table_rows(path)
    if not rows or len(rows) < 2:
        raise DataError("a table with a header line and samples is needed")
    header = [name.strip() for name in rows[0]]
    if len(header) < 2:
        raise DataError(f"the table has one column, {header[0][:60]!r}: cells are separated by commas")
    name, why = _chosen_target(header, target)
    column = header.index(name)
    cells = [row[column].strip() if column < len(row) else "" for row in rows[1:]]
    outputs, classes, what = _task(cells)
    told = (f"{len(cells)} samples of {len(header) - 1} features; learned is the column '{name}' ({why}): {what}.",)
    source = {"csv": "", "target": name}
    return Found(source, len(cells), (len(header) - 1,), outputs, classes, told, standardize=True)


def _table_rows(path: Path) -> list[list[str]]:
    try:
        with io.TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="") as file:
            return [row for row in csv.reader(file, strict=True) if row]
    except FileNotFoundError as error:
        raise DataError("no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise DataError(f"not a table ({error})") from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})") from error


def _chosen_target(header: Sequence[str], target: str | None) -> tuple[str, str]:
    """The column to learn, and why this one."""
    if target is not None:
        if target not in header:
            raise DataError(f"no column '{target}'{did_you_mean(target, header)}; columns: {listed(header)}")
        return target, "as you say"
    lower = {name.lower(): name for name in reversed(header)}
    for name in TARGETS:
        if name in lower:
            return lower[name], "by its name; --target takes another"
    return header[-1], "the last one; --target takes another"


def _task(cells: Sequence[str]) -> tuple[int, bool, str]:
    """Outputs, whether they are classes, and that in words."""
    values = _numbers(cells)
    if values is None:
        names = sorted(set(cells))
        return len(names), True, f"{len(names)} classes, {listed(names[:6])}{', ...' if len(names) > 6 else ''}"
    return _task_of(values)


def _task_of(values: np.ndarray[Any, Any]) -> tuple[int, bool, str]:
    """Classes where whole numbers from 0 are few and repeat, else one number."""
    whole = bool(np.all(values == np.round(values)) and values.min() >= 0)
    distinct = len(np.unique(values))
    count = int(values.max()) + 1 if whole else 0
    if whole and distinct > 1 and count <= MOST_CLASSES and len(values) >= REPEATS * distinct:
        return count, True, f"{count} classes, numbered from 0"
    return 1, False, "a number, by squared error"


def _numbers(cells: Sequence[str]) -> np.ndarray[Any, Any] | None:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        return None


def _read_arrays(path: Path, target: str | None) -> Found:
    """Arrays with the names that dagrow reads."""
    if target is not None:
        raise DataError("--target names a column of a table; arrays to learn are called y_train")
    try:
        with open_file(path) as file, np.load(file, allow_pickle=False) as stored:
            if not hasattr(stored, "files"):
                raise DataError("holds one array; an .npz file with x_train and y_train is needed (numpy.savez)")
            missing = [name for name in ("x_train", "y_train") if name not in stored.files]
            if missing:
                raise DataError(f"no array '{missing[0]}'; there are {listed(stored.files) or 'none'}")
            x, y = stored["x_train"], stored["y_train"]
            test = "x_test" in stored.files
    except FileNotFoundError as error:
        raise DataError("no such file") from error
    except DataError:
        raise
    except Exception as error:  # numpy and zipfile raise all kinds on damaged files
        raise DataError(f"not an .npz file that can be read ({error})") from error
    if not x.shape[1:] or len(x) == 0:
        raise DataError(f"'x_train' has shape {list(x.shape)}: samples with features are needed, samples first")
    if y.dtype.kind not in "biuf":
        raise DataError("'y_train' holds no numbers: number the classes from 0")
    shape, said = _sample_shape(x.shape[1:])
    outputs, classes, what = _task_of(y) if y.ndim == 1 else (prod(y.shape[1:]), False, "numbers, by squared error")
    split = "with a test set" if test else "without a test set"
    told = (f"{len(x)} samples {split}, {said}; learned is 'y_train': {what}.",)
    return Found({"npz": ""}, len(x), shape, outputs, classes, told, standardize=x.dtype != np.uint8)


def _sample_shape(shape: tuple[int, ...]) -> tuple[tuple[int, ...], str]:
    """How the graph reads a sample: maps as they are or with one channel, everything else as a vector."""
    match shape:
        case (height, width) if min(shape) >= _LEAST_PIXELS:
            return (1, height, width), f"read as maps of {height} x {width} with one channel"
        case (channels, height, width) if min(height, width) >= _LEAST_PIXELS:
            return shape, f"read as maps of {height} x {width} with {channels} channels"
        case _:
            return (prod(shape),), f"read as vectors of {prod(shape)} features"


READERS: Registry[Callable[[Path, str | None], Found]] = Registry("kind of data file", error=DataError)
"""By the ending of the file."""
READERS.add(".csv", _read_table)
READERS.add(".npz", _read_arrays)
