"""Samples without targets, from a file that a person wants predictions for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dagrow.data.csv_table import read_columns
from dagrow.data.file_reader import Rows
from dagrow.data.fit import fit_inputs
from dagrow.data.frames import check_columns, number_columns
from dagrow.data.npz import read_npy, read_npz_inputs
from dagrow.data.preprocessing import Preprocessing
from dagrow.data.raw import to_tensor
from dagrow.errors import DataError
from dagrow.graph import Dag
from dagrow.registry import Registry, unknown


def read_rows(path: str | Path, preprocessing: Preprocessing, dag: Dag) -> Rows:
    """Reads a file of the kind that training had, or arrays: an ``.npz`` or ``.npy`` file.

    Args:
        path: of the file; its ending says what it is.
        preprocessing: knows the columns.
        dag: whose inputs the samples must fit.

    Raises:
        DataError: with the file first, then what is wrong with it.
    """
    try:
        rows = _reader(str(path), preprocessing)(str(path), preprocessing, dag)
        return rows._replace(inputs=fit_inputs(rows.inputs, preprocessing, dag))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_frame(frame: Any, preprocessing: Preprocessing, dag: Dag) -> Rows:
    """Reads a table that a user has in Python, by the names of its columns.

    Args:
        frame: of pandas, polars or pyarrow, or a mapping of columns; where the training data had no names, a mapping of
            the arrays of the inputs.
        preprocessing: knows the columns.
        dag: whose inputs the samples must fit.

    Raises:
        DataError: if it does not fit.
    """
    if preprocessing.reader is not None:
        rows = preprocessing.reader.read_frame(frame)
    elif preprocessing.columns:
        rows = number_columns(frame, preprocessing.columns, (preprocessing.target,))
    elif isinstance(frame, Mapping):
        check_columns(tuple(dag.spec.inputs), tuple(frame))
        rows = Rows(tuple(to_tensor(np.asarray(frame[name]), name) for name in dag.spec.inputs))
    else:
        rows = Rows((to_tensor(np.asarray(frame), "the table"),))
    return rows._replace(inputs=fit_inputs(rows.inputs, preprocessing, dag))


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
"""By the ending of a file name, where the source of the training data has no reader of its own."""


def _reader(path: str, preprocessing: Preprocessing) -> Callable[[str, Preprocessing, Dag], Rows]:
    """What reads such a file: the reader of the source, or that of arrays."""
    reader, ending = preprocessing.reader, Path(path).suffix.lower()
    if reader is None:
        return READERS.find(ending)
    shapes = tuple(each.shape for each in preprocessing.inputs)

    def own(path: str, preprocessing: Preprocessing, dag: Dag) -> Rows:
        return reader.read(path, shapes)

    arrays = {**dict.fromkeys(reader.endings, own), ".npz": _npz, ".npy": _npy}
    if reader.takes(path):
        return own
    if ending not in arrays:
        raise DataError(unknown("kind of file", ending, arrays))
    return arrays[ending]
