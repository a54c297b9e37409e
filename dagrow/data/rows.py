"""Samples without targets, from a file that a person wants predictions for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from dagrow.data.csv_table import read_columns
from dagrow.data.fit import fit_inputs
from dagrow.data.npz import read_npy, read_npz_inputs
from dagrow.data.preprocessing import Preprocessing
from dagrow.errors import DataError
from dagrow.graph import Dag
from dagrow.registry import Registry


class Rows(NamedTuple):
    """Raw values.

    Attributes:
        inputs: one tensor ``[samples, *shape]`` per input of the graph, number format as stored.
        unknown: names of columns that training did not know, and that were not read.
    """

    inputs: tuple[Tensor, ...]
    unknown: tuple[str, ...] = ()


def read_rows(path: str | Path, preprocessing: Preprocessing, dag: Dag) -> Rows:
    """Reads a ``.csv``, ``.npz`` or ``.npy`` file.

    Args:
        path: of the file; its ending says what it is.
        preprocessing: knows the columns.
        dag: whose inputs the samples must fit.

    Raises:
        DataError: with the file first, then what is wrong with it.
    """
    try:
        read = READERS.find(Path(path).suffix.lower())
        inputs, unknown = read(str(path), preprocessing, dag)
        return Rows(fit_inputs(inputs, dag), unknown)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _csv(path: str, preprocessing: Preprocessing, dag: Dag) -> Rows:
    if not preprocessing.columns:
        raise DataError("the network was trained on arrays, whose columns have no names; give an .npz or .npy file")
    values, unknown = read_columns(path, preprocessing.columns, {preprocessing.target})
    return Rows((values,), unknown)


def _npz(path: str, preprocessing: Preprocessing, dag: Dag) -> Rows:
    return Rows(read_npz_inputs(path, dag))


def _npy(path: str, preprocessing: Preprocessing, dag: Dag) -> Rows:
    return Rows((read_npy(path),))


READERS: Registry[Callable[[str, Preprocessing, Dag], Rows]] = Registry(
    "kind of file", {".csv": _csv, ".npz": _npz, ".npy": _npy}, error=DataError
)
