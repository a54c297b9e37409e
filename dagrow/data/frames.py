"""Tables with named columns that a user has in Python, told apart from arrays without importing their packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dagrow.data.file_reader import Rows
from dagrow.data.raw import to_tensor
from dagrow.errors import DataError, did_you_mean, listed


def column_names(values: Any) -> tuple[str, ...] | None:
    """Names of the columns of a frame of pandas, polars or pyarrow, or of a mapping; None of what has none."""
    if isinstance(values, Mapping) and not hasattr(values, "shape"):  # a sparse matrix may be a mapping too
        return tuple(map(str, values))
    if isinstance(values, (Tensor, np.ndarray)):
        return None
    names = getattr(values, "column_names", getattr(values, "columns", None))
    if names is None or not hasattr(values, "__getitem__"):
        return None
    return tuple(map(str, names))


def is_mixed(values: Any) -> bool:
    """Whether a frame has gaps, or columns that are no numbers: an array of numbers could not hold it."""
    if column_names(values) is None:
        return False
    if isinstance(values, Mapping):
        return True
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # columns of kinds that have nothing in common
        return True
    return array.dtype.kind not in "biuf" or (array.dtype.kind == "f" and bool(np.isnan(array).any()))


def number_columns(frame: Any, wanted: Sequence[str], known: Sequence[str] = ()) -> Rows:
    """Columns of numbers, found by their names.

    Args:
        frame: that has them, perhaps beside others.
        wanted: their names, in the order of the values of a sample.
        known: names of further columns that may be there, and are not read.

    Raises:
        DataError: if a column is missing, or holds something else.
    """
    names = column_names(frame) or ()
    check_columns(wanted, names)
    columns = []
    for name in wanted:
        column = np.asarray(frame[name])
        if column.dtype.kind == "O":
            column = _floats(column, name)
        columns.append(to_tensor(column, name).double())
    if len({len(column) for column in columns}) != 1:
        raise DataError("the columns are not equally long")
    unknown = tuple(name for name in names if name not in wanted and name not in known)
    return Rows((torch.stack(columns, 1),), unknown)


def check_columns(wanted: Sequence[str], names: Sequence[str]) -> None:
    """Checks that a table has the columns that a network reads.

    Raises:
        DataError: naming the first that is missing.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        near = did_you_mean(missing[0], [name for name in names if name not in wanted])
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(f"no column '{missing[0]}'{near}{more}; the network reads {listed(wanted)}")


def _floats(column: np.ndarray, name: str) -> np.ndarray:
    """Objects as numbers, where they are: whole numbers with gaps among them."""
    try:
        return np.array([np.nan if cell is None else float(cell) for cell in column])
    except (TypeError, ValueError) as error:
        raise DataError(f"column '{name}' holds something else than numbers ({error})") from error
