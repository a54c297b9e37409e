"""Samples that a user has in Python: arrays, tensors, tables, datasets, data loaders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dagrow.data.frames import is_mixed
from dagrow.data.raw import Arrays, Raw, to_tensor
from dagrow.data.splitting import split_rows
from dagrow.data.tables.frame_samples import FrameInputs
from dagrow.errors import DataError, listed
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.column_options import ColumnOptions

Values = tuple[Any, ...]

_BATCH = 1_024
_PAIRS = "give (x, y) with arrays or tensors, a torch Dataset of such pairs, a DataLoader, or a list of batches (x, y)"


class SampleSettings(NamedTuple):
    """What a run says of samples that come from Python.

    Attributes:
        loss: of the run.
        test_fraction: share of the samples for testing, where no others are given.
        seed: of the run, which draws them.
        columns: what a person says of the columns of a table.
    """

    loss: Loss
    test_fraction: float
    seed: int
    columns: ColumnOptions = ColumnOptions()


def raw_samples(dag: Dag, settings: SampleSettings, train: Any, validation: Any = None, test: Any = None) -> Raw:
    """All samples of a run.

    A dataset, a loader or a list of batches is read once, from its first sample to its last, and kept in memory:
    what it draws at random (augmentation) is drawn once. A table with gaps or with columns that are no numbers is
    encoded as one in a file is.

    Args:
        dag: whose inputs and outputs name the entries of mappings.
        settings: what the run says.
        train: to learn from.
        validation: to judge by while training, in any of these forms.
        test: to be judged by at the end, likewise; the validation samples where it is left out. Where both are left
            out, a share of the training samples is kept for testing, as the ``data`` section of the run says.

    Raises:
        DataError: if they cannot be read.
    """
    names = _Names(tuple(dag.spec.inputs), tuple(dag.spec.outputs))
    parts = {"train": train, "validation": validation, "test": test}
    read = {part: _pair(given, part, names) for part, given in parts.items() if given is not None}
    classes = _class_names([y for _, y in read.values()])
    targets = {part: _targets(y, f"{part} y", classes) for part, (_, y) in read.items()}
    target = _target_name(read["train"][1])
    if len(read["train"][0]) == 1 and is_mixed(read["train"][0][0]):
        frames = {part: x[0] for part, (x, _) in read.items()}
        return _raw_table(frames, targets, settings, names, classes=classes, target=target)
    arrays = {part: Arrays(_tensors(x, f"{part} x"), targets[part]) for part, (x, _) in read.items()}
    held_out = arrays.get("test", arrays.get("validation"))
    return Raw(
        arrays["train"],
        held_out,
        classes=classes,
        columns=_columns(train),
        target=target,
        validation=arrays.get("validation"),
    )


def _raw_table(
    frames: Mapping[str, Any],
    targets: Mapping[str, tuple[Tensor, ...]],
    settings: SampleSettings,
    names: _Names,
    *,
    classes: tuple[str, ...],
    target: str,
) -> Raw:
    """Samples whose inputs are a table of mixed columns."""
    own, count = targets["train"], len(targets["train"][0])
    train, test = (np.arange(count), None) if len(frames) > 1 else _split(own, settings)
    inputs = FrameInputs(frames["train"], settings.columns, names.inputs, train)
    if inputs.table.count != count:
        raise DataError(f"different numbers of samples: {inputs.table.count} of x, {count} of y")
    others = {part: Arrays(inputs.other(frames[part]), targets[part]) for part in frames if part != "train"}
    held_out = others.get("test", others.get("validation"))
    if test is not None:
        held_out = Arrays(inputs.stored(test), tuple(y[torch.from_numpy(test)] for y in own))
    return Raw(
        Arrays(inputs.stored(train), tuple(y[torch.from_numpy(train)] for y in own)),
        held_out,
        classes=classes,
        columns=inputs.fitted.names,
        target=target,
        steps=inputs.fitted.steps,
        reader=inputs.reader,
        notes=inputs.notes,
        validation=others.get("validation"),
    )


def _split(targets: tuple[Tensor, ...], settings: SampleSettings) -> tuple[np.ndarray, np.ndarray]:
    train, test = split_rows(targets, settings.loss, settings.test_fraction, settings.seed)
    return train.numpy(), test.numpy()


def _target_name(targets: Values) -> str:
    """Of the column to learn, where it is a single one that has a name."""
    name = getattr(targets[0], "name", None) if len(targets) == 1 and not isinstance(targets[0], Tensor) else None
    return name if isinstance(name, str) else ""


class _Names:
    """Names of the entries of mappings of inputs and of targets."""

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.inputs, self.outputs = inputs, outputs


def _pair(given: Any, part: str, names: _Names) -> tuple[Values, Values]:
    """Inputs and targets, each one or several arrays."""
    if isinstance(given, tuple):
        if len(given) != 2:
            raise DataError(f"{part}: a tuple must be (x, y), this one has {len(given)} entries; {_PAIRS}")
        return _several(given[0], names.inputs, f"{part} x"), _several(given[1], names.outputs, f"{part} y")
    if isinstance(given, Dataset) and not isinstance(given, DataLoader):
        given = DataLoader(given, batch_size=_BATCH)
    if isinstance(given, (Tensor, np.ndarray, Mapping, str)) or not isinstance(given, Iterable):
        raise DataError(f"{part}: {_PAIRS}, not {type(given).__name__}")
    return _joined(_batches(given, part), part, names)


def _batches(given: Iterable[Any], part: str) -> Iterator[tuple[Any, Any]]:
    for number, batch in enumerate(given, start=1):
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise DataError(f"{part}: batch {number} is no pair (x, y); {_PAIRS}")
        yield batch[0], batch[1]


def _joined(batches: Iterator[tuple[Any, Any]], part: str, names: _Names) -> tuple[Values, Values]:
    inputs: list[Values] = []
    targets: list[Values] = []
    for x, y in batches:
        inputs.append(_several(x, names.inputs, f"{part} x"))
        targets.append(_several(y, names.outputs, f"{part} y"))
    if not inputs:
        raise DataError(f"{part}: there are no batches")
    try:
        return tuple(map(_stacked, zip(*inputs, strict=True))), tuple(map(_stacked, zip(*targets, strict=True)))
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{part}: the batches do not fit together ({error})") from error


def _stacked(parts: Sequence[Any]) -> Any:
    if all(isinstance(part, Tensor) for part in parts):
        return torch.cat(list(parts))
    return np.concatenate([_array(part, "batch") for part in parts])


def _several(values: Any, names: Sequence[str], what: str) -> Values:
    """One array, or several: of a tuple, or of a mapping by the names of the graph."""
    if isinstance(values, Mapping):
        missing = [name for name in names if name not in values]
        if missing or len(values) != len(names):
            raise DataError(f"{what} has the entries {listed(map(str, values))}; the graph has {listed(names)}")
        return tuple(values[name] for name in names)
    if isinstance(values, tuple):
        if len(values) != len(names):
            raise DataError(f"{what} is a tuple of {len(values)} arrays; the graph has {listed(names)}")
        return values
    return (values,)


def _tensors(values: Values, what: str) -> tuple[Tensor, ...]:
    return tuple(_tensor(each, what) for each in values)


def _tensor(values: Any, what: str) -> Tensor:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        if values.dtype in (torch.uint8, torch.int64, torch.float32, torch.float64):
            return to_tensor(np.zeros(0), what) if values.dim() == 0 else values.contiguous()
        values = values.float() if values.dtype == torch.bfloat16 else values
    return to_tensor(_array(values, what), what)


def _array(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} is no array: its rows are not equally long") from error


def _columns(train: Any) -> tuple[str, ...]:
    """Names of the features, where the inputs are one table that has names."""
    if not isinstance(train, tuple) or isinstance(train[0], (tuple, Mapping)):
        return ()
    names = getattr(train[0], "column_names", getattr(train[0], "columns", None))
    return () if names is None or not all(isinstance(name, str) for name in names) else tuple(names)


def _class_names(targets: Sequence[Values]) -> tuple[str, ...]:
    """Names of the classes in the order of their letters, where targets are texts."""
    found: set[str] = set()
    for values in targets:
        for each in values:
            array = each if isinstance(each, Tensor) else _array(each, "y")
            if isinstance(array, np.ndarray) and array.dtype.kind in "OUS":
                if not all(isinstance(name, (str, bytes)) for name in array.ravel().tolist()):
                    raise DataError("y holds objects that are neither numbers nor texts")
                found.update(map(str, array.ravel().tolist()))
    return tuple(sorted(found))


def _targets(values: Values, what: str, classes: Sequence[str]) -> tuple[Tensor, ...]:
    if not classes:
        return _tensors(values, what)
    number = {name: index for index, name in enumerate(classes)}
    arrays = [each if isinstance(each, Tensor) else _array(each, what) for each in values]
    if not all(isinstance(each, np.ndarray) and each.dtype.kind in "OUS" for each in arrays):
        raise DataError(f"{what}: some targets are names of classes, others are numbers; give names for all")
    return tuple(
        torch.tensor([number[str(name)] for name in np.asarray(each).ravel().tolist()]).reshape(np.asarray(each).shape)
        for each in arrays
    )
