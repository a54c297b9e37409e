"""What data are, as far as a first run file needs it: samples, what is learned of them, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dagrow.errors import DataError, did_you_mean, listed
from dagrow.layout import TensorLayout

DATA = Path()
"""The path of the data, in the ``data`` section."""
TARGETS = ("target", "label", "labels", "class", "y", "outcome", "response", "quality", "species", "diagnosis")
"""Names by which a column to learn is found; of several the first here, else the last column."""
MOST_CLASSES = 50
"""Whole numbers of more values than this are quantities, as are those that hardly repeat."""
REPEATS = 10
"""Samples per class that whole numbers need, on average, to be classes."""


@dataclass(frozen=True)
class Found:
    """What the data are.

    Attributes:
        source: what the ``data`` section says; paths in it are relative to the data (`DATA`: they themselves).
        samples: how many.
        shape: of one sample, as the graph is to read it.
        outputs: classes, or numbers to be predicted.
        classes: whether classes are learned.
        told: what was decided, and why, in sentences.
        standardize: whether features shall be scaled.
    """

    source: Mapping[str, Any]
    samples: int
    shape: tuple[int, ...]
    outputs: int
    classes: bool
    told: tuple[str, ...]
    standardize: bool

    @property
    def are_maps(self) -> bool:
        """Whether samples have positions."""
        return bool(TensorLayout.of(self.shape).positions)


def chosen_target(header: Sequence[str], target: str | None) -> tuple[str, str]:
    """The column to learn, and why this one."""
    if target is not None:
        if target not in header:
            raise DataError(f"no column '{target}'{did_you_mean(target, header)}; columns: {listed(header)}")
        return target, "as you say"
    lower = {name.lower(): name for name in reversed(header)}
    for name in TARGETS:
        if name in lower:
            return lower[name], "by its name; --target takes another"
    return header[-1], "the last one; --target takes another"


def task(cells: Sequence[str]) -> tuple[int, bool, str]:
    """Outputs, whether they are classes, and that in words."""
    values = _numbers(cells)
    if values is None:
        names = sorted(set(cells))
        return len(names), True, f"{len(names)} classes, {listed(names[:6])}{', ...' if len(names) > 6 else ''}"
    return task_of(values)


def task_of(values: np.ndarray[Any, Any]) -> tuple[int, bool, str]:
    """Classes where whole numbers from 0 are few and repeat, else one number."""
    whole = bool(np.all(values == np.round(values)) and values.min() >= 0)
    distinct = len(np.unique(values))
    count = int(values.max()) + 1 if whole else 0
    if whole and distinct > 1 and count <= MOST_CLASSES and len(values) >= REPEATS * distinct:
        return count, True, f"{count} classes, numbered from 0"
    return 1, False, "a number, by squared error"


def _numbers(cells: Sequence[str]) -> np.ndarray[Any, Any] | None:
    try:
        return np.array([float(cell) for cell in cells])
    except ValueError:
        return None
