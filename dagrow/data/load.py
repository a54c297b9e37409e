"""From the ``data:`` section of a run to samples that fit its graph and its loss."""

from __future__ import annotations

import torch
from torch import Tensor

from dagrow.data.fit import fit
from dagrow.data.preprocessing import InputPreprocessing, Preprocessing
from dagrow.data.raw import Arrays, Raw
from dagrow.data.samples import Samples, TrainTestSplit
from dagrow.data.scaling import Scale, scale_of, settle
from dagrow.data.sources import chosen_source
from dagrow.data.splitting import split_rows
from dagrow.errors import DataError
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.run import DataSpec

_SHOWN_CLASSES = 10

Fitted = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]


def load_data(spec: DataSpec, dag: Dag, loss: Loss, seed: int, given: Raw | None = None) -> TrainTestSplit:
    """Reads, checks, splits and scales the data of a run.

    Args:
        spec: which source, and how to treat it; a relative path is relative to the working directory.
        dag: the graph whose inputs and outputs the samples must fit.
        loss: prepares the targets.
        seed: decides the split where the source has none.
        given: samples that come from Python, in the place of a source.

    Raises:
        DataError: with the source first, then what is wrong with it.
    """
    name, read = chosen_source(spec) if given is None else ("the samples", None)
    try:
        raw = read(spec, dag, loss) if read is not None else given
        assert raw is not None
        train, test = _fitted(raw, spec, dag, loss, seed)
        return _scaled(raw, train, test, dag, loss, standardize=spec.standardize)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _fitted(raw: Raw, spec: DataSpec, dag: Dag, loss: Loss, seed: int) -> tuple[Fitted, Fitted]:
    if raw.test is not None:
        return _fit(raw.train, raw, dag, loss, "training set: "), _fit(raw.test, raw, dag, loss, "test set: ")
    inputs, targets = _fit(raw.train, raw, dag, loss, "")
    rows = split_rows(targets, loss, spec.test_share, seed)
    train, test = ((tuple(x[part] for x in inputs), tuple(y[part] for y in targets)) for part in rows)
    return train, test


def _fit(arrays: Arrays, raw: Raw, dag: Dag, loss: Loss, part: str) -> Fitted:
    try:
        return fit(arrays, dag, loss)
    except DataError as error:
        more = len(raw.classes) > _SHOWN_CLASSES
        shown = ", ".join(repr(name) for name in raw.classes[:_SHOWN_CLASSES]) + (", ..." if more else "")
        classes = f" ({len(raw.classes)} classes were found: {shown})" if raw.classes else ""
        raise DataError(f"{part}{error}{classes}") from error


def _scaled(raw: Raw, train: Fitted, test: Fitted, dag: Dag, loss: Loss, *, standardize: bool) -> TrainTestSplit:
    validation = None if raw.validation is None else _fit(raw.validation, raw, dag, loss, "validation set: ")
    others = [("test", test), *([] if validation is None else [("validation", validation)])]
    for part, x, other in ((part, *pair) for part, fitted in others for pair in zip(train[0], fitted[0], strict=True)):
        if (x.dtype == torch.uint8) != (other.dtype == torch.uint8):
            raise DataError(
                f"training inputs are {x.dtype}, {part} inputs {other.dtype}; bytes are scaled to [0, 1] and "
                "others are not, so both must be bytes or neither"
            )
    layouts = [entry.values for entry in dag.spec.inputs.values()]
    steps = [
        scale_of(x, layout, standardize=standardize, divisor=raw.divisor)
        for x, layout in zip(train[0], layouts, strict=True)
    ]

    def samples(part: Fitted) -> Samples:
        settled = [settle(x, step) for x, step in zip(part[0], steps, strict=True)]
        return Samples(tuple(x for x, _ in settled), part[1], tuple(left for _, left in settled))

    inputs = tuple(
        InputPreprocessing(name, tuple(layout), _raw_dtype(x, step), () if step is None else (step,))
        for name, layout, x, step in zip(dag.spec.inputs, layouts, train[0], steps, strict=True)
    )
    preprocessing = Preprocessing(inputs, loss.name, raw.columns, raw.target, raw.classes)
    return TrainTestSplit(samples(train), samples(test), preprocessing, validation and samples(validation))


def _raw_dtype(stored: Tensor, step: Scale | None) -> torch.dtype:
    """Bytes are bytes; other numbers are read as float32 unless the first step computes with more digits."""
    if stored.dtype == torch.uint8:
        return torch.uint8
    return torch.float32 if step is None else step.shift.dtype
