"""From the ``data:`` section of a run to samples that fit its graph and its loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from dagrow.data.augment import augmenter_of
from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.fit import fit
from dagrow.data.preprocessing import InputPreprocessing, Preprocessing
from dagrow.data.raw import Arrays, Raw
from dagrow.data.samples import Samples, TrainTestSplit
from dagrow.data.scaling import scale_of, settle, standardized
from dagrow.data.splitting import split_rows
from dagrow.data.step import PreprocessingStep
from dagrow.data.stored import Stored
from dagrow.errors import DataError
from dagrow.graph import Dag
from dagrow.layout import TensorLayout
from dagrow.objectives import Loss
from dagrow.spec.data import DataSpec

_SHOWN_CLASSES = 10

Fitted = tuple[tuple[Stored, ...], tuple[Tensor, ...]]


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
    source = spec.source
    assert isinstance(source, DataSource)  # as is every class in the registry
    title = source.title if given is None else "the samples"
    try:
        raw = given or source.read(dag, loss, ReadSettings(seed, spec.test_fraction, spec.standardize))
        train, test = _fitted(raw, spec, dag, loss, seed)
        split = _scaled(raw, train, test, dag, loss, standardize=spec.standardize)
        changes = augmenter_of(spec.augment, dag)
        return split if changes is None else replace(split, train=replace(split.train, augment=changes))
    except DataError as error:
        raise DataError(f"{title}: {error}") from error


def _fitted(raw: Raw, spec: DataSpec, dag: Dag, loss: Loss, seed: int) -> tuple[Fitted, Fitted]:
    if raw.test is not None:
        return _fit(raw.train, raw, dag, loss, "training set: "), _fit(raw.test, raw, dag, loss, "test set: ")
    inputs, targets = _fit(raw.train, raw, dag, loss, "")
    rows = split_rows(targets, loss, spec.test_fraction, seed)
    train, test = ((tuple(x[part] for x in inputs), tuple(y[part] for y in targets)) for part in rows)
    return train, test


def _fit(arrays: Arrays, raw: Raw, dag: Dag, loss: Loss, part: str) -> Fitted:
    try:
        return fit(arrays, dag, loss, raw.steps)
    except DataError as error:
        more = len(raw.classes) > _SHOWN_CLASSES
        shown = ", ".join(repr(name) for name in raw.classes[:_SHOWN_CLASSES]) + (", ..." if more else "")
        classes = f" ({len(raw.classes)} classes were found: {shown})" if raw.classes else ""
        raise DataError(f"{part}{error}{classes}") from error


def _scaled(
    raw: Raw, train: Fitted, test: Fitted, dag: Dag, loss: Loss, *, standardize: Literal["auto"] | bool
) -> TrainTestSplit:
    validation = None if raw.validation is None else _fit(raw.validation, raw, dag, loss, "validation set: ")
    others = [("test", test), *([] if validation is None else [("validation", validation)])]
    for part, x, other in ((part, *pair) for part, fitted in others for pair in zip(train[0], fitted[0], strict=True)):
        if (x.dtype == torch.uint8) != (other.dtype == torch.uint8):
            raise DataError(
                f"training inputs are {x.dtype}, {part} inputs {other.dtype}; bytes are scaled to [0, 1] and "
                "others are not, so both must be bytes or neither"
            )
    layouts = [entry.values for entry in dag.spec.inputs.values()]
    steps = raw.steps or tuple(
        _no_or_one(
            scale_of(x, layout, standardize=standardized(standardize, x, layout, raw.divisor), divisor=raw.divisor)
        )
        for x, layout in zip(train[0], layouts, strict=True)
    )

    def samples(part: Fitted) -> Samples:
        settled = [settle(x, chain) for x, chain in zip(part[0], steps, strict=True)]
        return Samples(tuple(x for x, _ in settled), part[1], tuple(left for _, left in settled))

    inputs = tuple(
        InputPreprocessing(name, tuple(x.shape[1:]), _raw_dtype(x, chain, layout), chain)
        for name, x, chain, layout in zip(dag.spec.inputs, train[0], steps, layouts, strict=True)
    )
    preprocessing = Preprocessing(inputs, loss.name, raw.columns, raw.target, raw.classes, raw.answers, raw.reader)
    return TrainTestSplit(samples(train), samples(test), preprocessing, raw.notes, validation and samples(validation))


def _no_or_one(step: PreprocessingStep | None) -> tuple[PreprocessingStep, ...]:
    return () if step is None else (step,)


def _raw_dtype(stored: Stored, steps: tuple[PreprocessingStep, ...], layout: TensorLayout) -> torch.dtype:
    """Bytes are bytes; other numbers are read as float32 unless the first step computes with more digits."""
    if layout.indexed:
        return torch.int64
    if stored.dtype == torch.uint8 or not steps:
        return torch.uint8 if stored.dtype == torch.uint8 else torch.float32
    return steps[0].reads
