"""A table with a header line: one sample per line, numbers in every column but (perhaps) the target."""

from __future__ import annotations

import csv
import io
from array import array
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.raw import Arrays, Raw, to_tensor
from dagrow.errors import DataError, did_you_mean, listed
from dagrow.files import open_file
from dagrow.graph import Dag
from dagrow.objectives import Loss

Line = tuple[int, list[str]]

_TABLES = " ('table: {path: ..., target: ...}' reads gaps and words)"


class CsvTable(DataSource):
    """A table with a header line."""

    name: ClassVar[str] = "csv"
    main_field: ClassVar[str] = "path"
    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str = Field(description="a table with a header line, one sample per line")
    target: str = Field(description="the column of the csv to learn; all others are inputs. Goes with `csv`")

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.path

    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """Reads all lines of the table."""
        lines = _lines(self.path)
        header = _header(lines)
        column = _target_column(header, self.target)
        features = [name for i, name in enumerate(header) if i != column]
        values = array("d")  # eight bytes per number, a list of floats would take four times that
        target: list[tuple[int, str]] = []
        for number, cells in lines:
            _check_count(number, cells, header)
            _check_filled(number, cells, header, _TABLES)
            target.append((number, cells.pop(column).strip()))
            values.extend(_numbers(number, cells, features, _TABLES))
        if not target:
            raise DataError("the table has a header but no samples")
        inputs = to_tensor(np.array(values).reshape(len(target), len(features)), "inputs")
        targets, classes = _targets(target, self.target, text_allowed=loss.correct is not None)
        return Raw(Arrays((inputs,), (targets,)), classes=classes, columns=tuple(features), target=self.target)


def read_columns(path: str, columns: Sequence[str], known: Collection[str]) -> tuple[Tensor, tuple[str, ...]]:
    """Reads some columns of a table by their names, wherever they stand.

    Args:
        path: of the table.
        columns: to read, in the order that is wanted.
        known: names of further columns that may be there, and are not read.

    Returns:
        The values ``[lines, columns]``, and the names of columns that are not known.

    Raises:
        DataError: if a column is missing, or holds something else than numbers.
    """
    lines = _lines(path)
    header = _header(lines)
    if missing := [name for name in columns if name not in header]:
        near = did_you_mean(missing[0], [name for name in header if name not in columns])
        raise DataError(f"no column '{missing[0]}'{near}; the network reads {listed(columns)}")
    places = [header.index(name) for name in columns]
    values = array("d")
    for number, cells in lines:
        _check_count(number, cells, header)
        chosen = [cells[place] for place in places]
        _check_filled(number, chosen, columns)
        values.extend(_numbers(number, chosen, columns))
    if not values:
        raise DataError("the table has a header but no samples")
    unknown = tuple(name for name in header if name not in columns and name not in known)
    return to_tensor(np.array(values).reshape(-1, len(columns)), "inputs"), unknown


def _lines(path: str) -> Iterator[Line]:
    """Line number and cells of each line that is not blank."""
    try:
        # utf-8-sig: a byte order mark, which spreadsheets write, is no part of the first column's name.
        with io.TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                for cells in reader:
                    if cells:
                        yield reader.line_num, cells
            except csv.Error as error:
                raise DataError(f"line {reader.line_num}: not a table ({error})") from error
    except FileNotFoundError as error:
        raise DataError("no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})") from error


def _header(lines: Iterator[Line]) -> list[str]:
    """The names of the columns, each once."""
    header = [name.strip() for name in next(lines, (0, []))[1]]
    if not header:
        raise DataError("the file is empty; a table with a header line is needed")
    seen: set[str] = set()
    for i, name in enumerate(header):
        if not name:
            raise DataError(f"column {i + 1} has no name in the header (does it only count rows? drop it)")
        if name in seen:
            raise DataError(f"two columns are called '{name}'")
        seen.add(name)
    return header


def _target_column(header: list[str], target: str) -> int:
    if target not in header:
        near = did_you_mean(target, header)
        hint = " (cells are separated by commas)" if len(header) == 1 else ""
        raise DataError(f"no column '{target}'{near}; columns: {listed(header)}{hint}")
    if len(header) == 1:
        raise DataError(f"the table has no column beside the target '{target}'")
    return header.index(target)


def _check_count(number: int, cells: list[str], header: list[str]) -> None:
    if len(cells) != len(header):
        raise DataError(f"line {number} has {len(cells)} cells, the header has {len(header)}")


def _check_filled(number: int, cells: list[str], header: Sequence[str], hint: str = "") -> None:
    for name, cell in zip(header, cells, strict=True):
        if not cell or cell.isspace():
            raise DataError(f"line {number}, column '{name}': the cell is empty{hint}")


def _numbers(number: int, cells: list[str], names: Sequence[str], hint: str = "") -> list[float]:
    try:
        return [float(cell) for cell in cells]
    except ValueError as error:
        name, cell = next((n, c) for n, c in zip(names, cells, strict=True) if not _is_number(c))
        raise DataError(f"{_not_a_number(number, name, cell)}; inputs must be{hint}") from error


def _not_a_number(number: int, column: str, cell: str) -> str:
    return f"line {number}, column '{column}': {cell[:40]!r} is not a number"


def _targets(cells: list[tuple[int, str]], column: str, *, text_allowed: bool) -> tuple[Tensor, tuple[str, ...]]:
    """The target as numbers, and the names of the classes if it was text."""
    text = [(number, cell) for number, cell in cells if not _is_number(cell)]
    if not text:
        return torch.tensor([float(cell) for _, cell in cells], dtype=torch.float64), ()
    number, cell = text[0]
    where = _not_a_number(number, column, cell)
    if not text_allowed:
        raise DataError(f"{where}; this loss learns numbers (text labels need cross_entropy)")
    if len(text) < len(cells):
        # One "?" among numbers must not become a class without a word.
        raise DataError(f"{where}, but other labels are; write all as numbers or none")
    classes = tuple(sorted({cell for _, cell in cells}))
    index = {name: i for i, name in enumerate(classes)}
    return torch.tensor([index[cell] for _, cell in cells]), classes


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
