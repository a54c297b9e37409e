"""Arrays in an ``.npz`` file: ``x_train``, ``y_train`` and, if the split is given, ``x_test``, ``y_test``.

A graph with several inputs or outputs may name each: ``<input>_train``, ``<output>_train``.
"""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.raw import Arrays, Raw, to_tensor
from dagrow.errors import DataError, did_you_mean, listed
from dagrow.files import open_file
from dagrow.graph import Dag
from dagrow.objectives import Loss

_ENDINGS = ("", "_test", "_train")
_OBJECTS = "holds Python objects, which are never loaded; save numbers"

Wanted = tuple[tuple[str, ...], tuple[str, ...]]
# What numpy and zipfile raise on damaged files. RuntimeError: zipfile on an unknown compression or an encrypted member.
# OverflowError, MemoryError: numpy on a head that says more than any file holds. The others: on one that says nonsense.
DAMAGED = (
    ValueError, EOFError, OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error,
    OverflowError, MemoryError, TypeError, SyntaxError, RecursionError, struct.error, NotImplementedError,
    tokenize.TokenError,
)  # fmt: skip


class NpzFile(DataSource):
    """Arrays in one file."""

    name: ClassVar[str] = "npz"
    main_field: ClassVar[str] = "path"
    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str = Field(
        description="a NumPy file with `x_train`, `y_train` and, if it has a split of its own, `x_test`, `y_test`"
    )

    @property
    def title(self) -> str:
        """How messages call it."""
        return self.path

    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """Reads the arrays of each input and output."""
        with _open(self.path) as stored:
            names = tuple(stored.files)
            train = _names(dag, "train", names)
            test = _names(dag, "test", names)
            _check_there(train[0] + train[1], names)
            return Raw(_arrays(stored, train), _arrays(stored, test) if _has_test(test, train, names) else None)


def read_npz_inputs(path: str, dag: Dag) -> tuple[Tensor, ...]:
    """The inputs alone: arrays ``x``, ``x_test`` or ``x_train``, whichever is there first, or those of each input.

    Raises:
        DataError: if there are none.
    """
    with _open(path) as stored:
        names = tuple(stored.files)
        for ending in _ENDINGS:
            wanted = _chosen(tuple(dag.spec.inputs), "x", ending, names)
            if any(name in names for name in wanted):
                _check_there(wanted, names)
                return tuple(_read(stored, name) for name in wanted)
        allowed = listed(f"'x{ending}'" for ending in _ENDINGS)
        raise DataError(f"none of the arrays {allowed}; there are {listed(names) or 'none'}")


def read_npy(path: str) -> Tensor:
    """The one array of an ``.npy`` file.

    Raises:
        DataError: if it is none, or holds no numbers.
    """
    with opened_array(path) as file:
        try:
            array = np.lib.format.read_array(file, allow_pickle=False)
        except DAMAGED as error:
            if "pickle" in str(error) or "Object" in str(error):
                raise DataError(_OBJECTS) from error
            raise DataError(f"not an .npy file, or damaged ({error})") from error
    return to_tensor(array, "array")


def _names(dag: Dag, part: str, stored: Sequence[str]) -> Wanted:
    """Names of the input and of the target arrays to read: one each, or the common one."""
    ending = f"_{part}"
    return _chosen(tuple(dag.spec.inputs), "x", ending, stored), _chosen(dag.spec.outputs, "y", ending, stored)


def _chosen(own: Sequence[str], common: str, ending: str, stored: Sequence[str]) -> tuple[str, ...]:
    each = tuple(f"{name}{ending}" for name in own)
    shared = f"{common}{ending}"
    found = [name in stored for name in each]
    return each if all(found) or (any(found) and shared not in stored) else (shared,)


def _has_test(test: Wanted, train: Wanted, stored: Sequence[str]) -> bool:
    wanted = test[0] + test[1]
    others = [name for name in stored if name not in train[0] + train[1]]
    # A misspelt test set must not be replaced by a part of the training set without a word.
    if not any(name in others or did_you_mean(name, others) for name in wanted):
        return False
    _check_there(wanted, others)
    return True


def _check_there(wanted: Sequence[str], stored: Sequence[str]) -> None:
    spare = [name for name in stored if name not in wanted]
    for name in wanted:
        if name not in stored:
            near = did_you_mean(name, spare)
            raise DataError(f"no array '{name}'{near}; there are {listed(stored) or 'none'}")


def _arrays(stored: Any, wanted: Wanted) -> Arrays:
    inputs, targets = (tuple(_read(stored, name) for name in names) for names in wanted)
    return Arrays(inputs, targets)


def _read(stored: Any, name: str) -> Tensor:
    try:
        array = stored[name]
    except DAMAGED as error:
        if "pickle" in str(error):
            raise DataError(f"'{name}' {_OBJECTS}") from error
        raise DataError(f"'{name}' cannot be read, the file is damaged ({error})") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"'{name}' is not an array")
    return to_tensor(array, name)


@contextmanager
def opened_array(path: str) -> Iterator[BinaryIO]:
    """A file of arrays.

    Raises:
        DataError: if the disk refuses it.
    """
    try:
        file = open_file(path)  # numpy leaves a file that it cannot read open, so it is ours
    except FileNotFoundError as error:
        raise DataError("no such file") from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})") from error
    with file:
        yield file


@contextmanager
def _open(path: str) -> Iterator[Any]:
    with opened_array(path) as file:
        try:
            stored = np.load(file, allow_pickle=False)
        except DAMAGED as error:
            raise DataError("not an .npz file (write one with numpy.savez)") from error
        if isinstance(stored, np.ndarray):
            raise DataError("holds one array; an .npz file with x_train and y_train is needed (numpy.savez)")
        with stored:
            yield stored
