"""The steps that make features of the columns of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dagrow.data.cycles import Cycles
from dagrow.data.missing import Missing
from dagrow.data.one_hot import OneHot
from dagrow.data.scaling import Scale
from dagrow.data.step import PreprocessingStep
from dagrow.data.tables.column import Column, Encoding


@dataclass(frozen=True)
class Encoded:
    """What the columns of an input become.

    Attributes:
        columns: in their order.
        steps: from raw values ``[samples, columns]`` to features.
        features: their names.
    """

    columns: tuple[Column, ...]
    steps: tuple[PreprocessingStep, ...]
    features: tuple[str, ...]


def encoded(pairs: Sequence[tuple[Column, Encoding]], *, standardize: bool) -> Encoded:
    """The steps for columns that were fitted.

    The features are: numbers, then one per column with gaps, then cosines and sines of dates, then categories.

    Args:
        pairs: a column and what it becomes, in the order of the raw values.
        standardize: whether numbers get mean 0 and deviation 1.
    """
    found = list(enumerate(pairs))
    numbers = [(place, column.name, e.scale) for place, (column, e) in found if e.scale is not None]
    gaps = [place for place, (_, e) in found if e.gaps]
    cycles = [(place, period, start) for place, (_, e) in found for period, start in e.cycles]
    codes = [(place, code) for place, (_, e) in found for code in e.codes]
    steps: list[PreprocessingStep] = [Missing(_floats([e.fill for _, e in pairs]), _whole(gaps))]
    if cycles:
        column, period, start = zip(*cycles, strict=True)
        steps.append(Cycles(_whole(column), _floats(period), _floats(start)))
    if codes:
        behind = range(len(pairs), len(pairs) + len(gaps) + len(cycles))
        plain = [*(place for place, *_ in numbers), *behind]
        steps.append(OneHot(_whole(plain), _whole([p for p, _ in codes]), _floats([c for _, c in codes])))
    further = len(gaps) + len(cycles) + len(codes)
    scales = [scale if standardize else (0.0, 1.0) for *_, scale in numbers]
    mean, deviation = ([pair[number] for pair in scales] for number in (0, 1))
    steps.append(Scale(_floats([*mean, *[0.0] * further]), _floats([*deviation, *[1.0] * further])))
    names = [name for _, name, _ in numbers]
    names += [f"{pairs[place][0].name} is missing" for place in gaps]
    for wanted in (True, False):
        names += [name for _, e in pairs if (e.scale is not None) == wanted for name in e.names]
    return Encoded(tuple(column for column, _ in pairs), tuple(steps), tuple(names))


def _floats(values: Sequence[float]) -> torch.Tensor:
    assert not any(map(math.isnan, values))
    return torch.tensor(values, dtype=torch.float64)


def _whole(values: Sequence[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)
