"""What a source hands on: arrays as stored, which have not met the graph yet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dagrow.data.answer import Answer
from dagrow.data.file_reader import FileReader
from dagrow.data.step import PreprocessingStep
from dagrow.data.stored import Stored
from dagrow.errors import DataError


@dataclass(frozen=True, eq=False)
class Arrays:
    """Inputs and targets of some samples.

    Attributes:
        inputs: one per graph input, or a single one that is cut into consecutive features.
        targets: one per graph output, or a single one for every output.
    """

    inputs: tuple[Stored, ...]
    targets: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Raw:
    """All that a source found.

    Attributes:
        train: samples to learn from, or all samples when ``test`` is None.
        test: samples to be judged by, None when the source has no split of its own.
        classes: names of the labels 0, 1, ..., where the source has any.
        columns: names of the features, likewise.
        target: name of what is to be learned, likewise.
        divisor: of all inputs, where the source has a unit of its own.
        steps: per input, what makes of its samples what the network reads; empty where they have the shape of the
            input already, and are scaled by their number format, as the run asks.
        reader: of files that a network is asked about; None where arrays are all there is.
        answers: the meaning of each output; empty where `target` and `classes` say all.
        notes: sentences on what was found, for the person who runs it.
        validation: samples to judge by while training, where the source has such a set.
    """

    train: Arrays
    test: Arrays | None = None
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    target: str = ""
    divisor: float = 1.0
    steps: tuple[tuple[PreprocessingStep, ...], ...] = ()
    reader: FileReader | None = None
    answers: tuple[Answer, ...] = ()
    notes: tuple[str, ...] = ()
    validation: Arrays | None = None


def to_tensor(array: np.ndarray, name: str) -> Tensor:
    """Brings numbers to uint8 (kept: it saves memory), int64, float32 or float64.

    Raises:
        DataError: if ``array`` holds no real numbers, or is a single number.
    """
    kind = array.dtype.kind
    if kind not in "buif":
        raise DataError(f"'{name}' holds {array.dtype}, not numbers")
    if array.ndim == 0:
        raise DataError(f"'{name}' is a single number; its first dimension must be the samples")
    size = array.dtype.itemsize
    if array.dtype == np.uint8:
        wanted: type[np.generic] = np.uint8
    elif size <= 2 or (kind == "f" and size == 4):
        wanted = np.float32  # exact for all of these
    else:
        wanted = np.float64 if kind == "f" else np.int64
    # from_numpy takes neither foreign byte orders nor read-only memory.
    return torch.from_numpy(np.require(array, dtype=wanted, requirements=["C", "W"]))
