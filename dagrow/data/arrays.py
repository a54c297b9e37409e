"""Arrays in ``.npy`` files as a source of data: ``data: {arrays: ...}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.npy_file import NpyFile
from dagrow.data.npz import read_npy
from dagrow.data.raw import Arrays, Raw
from dagrow.data.step import PreprocessingStep
from dagrow.data.stored import StoredRows
from dagrow.data.token_check import check_tokens
from dagrow.data.token_features import TokenFeatures
from dagrow.errors import DataError, listed
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.array_source import ArraysSpec


def read_arrays(told: ArraysSpec, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
    """Opens the files: inputs stay in them, targets are read.

    Raises:
        DataError: if they are not there, or hold something else.
    """
    if bool(told.x_test) != bool(told.y_test):
        raise DataError("'x_test' and 'y_test' go together")
    train = _arrays(told.x, told.y, dag)
    test = _arrays(told.x_test, told.y_test, dag) if told.x_test else None
    steps: tuple[tuple[PreprocessingStep, ...], ...] = ()
    if told.tokens:
        steps = tuple((TokenFeatures.of(entry.shape[-1]),) for entry in dag.spec.inputs.values())
        for part in (train, *([] if test is None else [test])):
            _check_tokens(part, dag)
    notes = []
    for (name, entry), x in zip(dag.spec.inputs.items(), train.inputs, strict=True):
        scaled = "each becomes a vector with a 1" if told.tokens else _scaled(x.dtype, settings.standardize is True)
        scaled = scaled if entry.vocabulary is None else "tokens"
        notes.append(
            f"input '{name}': {len(x)} samples of {str(x.dtype).removeprefix('torch.')}, read row by row; {scaled}"
        )
    return Raw(train, test, steps=steps, notes=tuple(notes))


def _scaled(dtype: torch.dtype, standardize: bool) -> str:
    if standardize:
        return "standardized"
    return "bytes are divided by 255" if dtype == torch.uint8 else "values are read as they are"


def _arrays(x: Mapping[str, str], y: Mapping[str, str], dag: Dag) -> Arrays:
    inputs = tuple(StoredRows(NpyFile.opened(path)) for path in _by_name(x, tuple(dag.spec.inputs), "x"))
    paths = _by_name(y, dag.spec.outputs, "y")
    return Arrays(inputs, tuple(map(_target, paths)))


def _target(path: str) -> torch.Tensor:
    try:
        return read_npy(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _by_name(files: Mapping[str, str], names: Sequence[str], what: str) -> list[str]:
    """One file for each name, or the one for all that has no name."""
    if set(files) == {""} and (what == "y" or len(names) == 1):
        return [files[""]]
    if set(files) != set(names):
        given = "one file" if "" in files else listed(files)
        raise DataError(f"'{what}' gives {given}; a file for each of {listed(names)} is needed")
    return [files[name] for name in names]


def _check_tokens(arrays: Arrays, dag: Dag) -> None:
    for x, (name, entry) in zip(arrays.inputs, dag.spec.inputs.items(), strict=True):
        if entry.vocabulary is not None:
            raise DataError(f"input '{name}' has a 'vocabulary' and reads tokens as they are: leave out 'tokens'")
        if x.dtype.is_floating_point and not str(x.dtype).endswith("32"):
            raise DataError(f"input '{name}': tokens are whole numbers")
        check_tokens(x, name, entry.shape[-1], f"its shape {list(entry.shape)}")


class ArrayFiles(ArraysSpec, DataSource):
    """``.npy`` files whose rows are read batch by batch."""

    @property
    def title(self) -> str:
        """How messages call it."""
        return "arrays"

    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """See `read_arrays`."""
        return read_arrays(self, dag, loss, settings)
