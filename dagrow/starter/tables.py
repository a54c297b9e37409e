"""Tables, for a first run file: of numbers alone, or of mixed columns, which pyarrow reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dagrow.data.chain import shape_after
from dagrow.data.data_source import ReadSettings
from dagrow.data.tables import Table
from dagrow.data.tables.formats import FORMATS, open_table
from dagrow.data.tables.scan import Scan, is_text_type
from dagrow.data.tables.table_file import TableFile, TextOptions
from dagrow.errors import DataError
from dagrow.files import open_file
from dagrow.graph import Dag
from dagrow.objectives import LOSSES
from dagrow.spec import DataSpec, GraphSpec, RunSpec
from dagrow.spec.frozen import FrozenDict
from dagrow.starter.found import DATA, Found, chosen_target, task

ENDINGS = tuple(FORMATS)
"""Of tables."""
PLAIN = ".csv"
"""Of those that are looked at as numbers first, without a further package."""


def read_csv(path: Path, target: str | None) -> Found:
    """A table in a text file: as numbers where all inputs are, which needs no further package."""
    try:
        rows = _table_rows(path)
    except UnicodeDecodeError:
        return read_mixed(path, target)
    if not rows or len(rows) < 2:
        raise DataError("a table with a header line and samples is needed")
    header = [name.strip() for name in rows[0]]
    if len(header) < 2:
        return read_mixed(path, target)
    name, why = chosen_target(header, target)
    column = header.index(name)
    if not all(_are_numbers(row[:column] + row[column + 1 :]) for row in rows[1:]):
        return read_mixed(path, target)
    cells = [row[column].strip() if column < len(row) else "" for row in rows[1:]]
    outputs, classes, what = task(cells)
    told = (f"{len(cells)} samples of {len(header) - 1} features; learned is the column '{name}' ({why}): {what}.",)
    source = {"csv": DATA, "target": name}
    return Found(source, len(cells), (len(header) - 1,), outputs, classes, told, standardize=True)


def read_mixed(path: Path, target: str | None) -> Found:
    """A table of mixed columns; it is read as a run would read it, for the features that its columns become."""
    table = open_table(str(path), TextOptions())
    if len(table.names) < 2:
        raise DataError(f"the table has one column, {table.names[0][:60]!r}: there is nothing to learn from")
    name, why = chosen_target(table.names, target)
    cells, unclear = _looked_at(table, name)
    if not cells:
        raise DataError(f"the column '{name}', which is to be learned, is empty")
    outputs, classes, what = task(cells)
    if classes:
        # The labels of a table are the values that are there.
        outputs = len(set(cells))
        what = what if what.startswith(f"{outputs} classes") else f"{outputs} classes"
    graph = GraphSpec.model_validate(
        {
            "inputs": {"x": {"shape": [1]}},
            "nodes": {"y": {"size": outputs}},
            "edges": {"x -> y": "linear"},
            "outputs": ["y"],
        }
    )
    seed, share = RunSpec.model_fields["seed"].default, DataSpec.model_fields["test_fraction"].default
    source = Table(path=str(path), target=(name,), types=FrozenDict(unclear))
    loss = LOSSES["cross_entropy" if classes else "mse"]
    raw = source.read(Dag.of(graph), loss, ReadSettings(seed, share, False))
    samples = len(raw.train.targets[0]) + (0 if raw.test is None else len(raw.test.targets[0]))
    first = f"{samples} samples; learned is the column '{name}' ({why}): {what}."
    more = "What a column is (types), and which are read (keep, drop): docs/how-to/own-data.md."
    notes = tuple(f"{note[0].upper()}{note[1:]}." for note in raw.notes)
    shape = shape_after(raw.steps[0], tuple(raw.train.inputs[0].shape[1:]))
    written = {"path": DATA, "target": name, **({"types": unclear} if unclear else {})}
    told = (first, *notes, more)
    return Found({"table": written}, samples, shape, outputs, classes, told, standardize=False)


def _looked_at(table: TableFile, target: str) -> tuple[list[str], dict[str, str]]:
    """Cells of the target, and kinds of columns that are not clear: words among numbers are categories."""
    cells: list[str] = []
    scans = [Scan(name) for name in table.names if name != target]
    for batch in table.batches(set(table.names)):
        cells += [str(cell) for cell in batch[target].to_pylist() if cell is not None]
        for scan in scans:
            scan.add(batch[scan.name])
    unclear = {}
    for scan in scans:
        try:
            scan.kind(None, None)
        except DataError:
            if not is_text_type(scan.type):
                raise
            unclear[scan.name] = "category"
    return cells, unclear


def _are_numbers(cells: Sequence[str]) -> bool:
    try:
        return bool(np.isfinite(np.array([float(cell) for cell in cells])).all())
    except ValueError:
        return False


def _table_rows(path: Path) -> list[list[str]]:
    """Of a text file in UTF-8; UnicodeDecodeError if it is in another encoding."""
    try:
        with io.TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="") as file:
            return [row for row in csv.reader(file, strict=True) if row]
    except FileNotFoundError as error:
        raise DataError("no such file") from error
    except csv.Error as error:
        raise DataError(f"not a table ({error})") from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})") from error
