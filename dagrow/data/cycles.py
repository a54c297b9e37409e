"""Dates as the network sees them: how far a moment is in the day, the week or the year."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from dagrow.data.missing import column_numbers
from dagrow.data.step import PreprocessingStep
from dagrow.layout import Shape

_TURN = 2 * math.pi


@dataclass(frozen=True, eq=False)
class Cycles(PreprocessingStep):
    """Behind the columns stand features ``cos(2 pi (x / period + start))``, each of one column.

    Attributes:
        column: ``[features]`` int64, which column each reads.
        period: ``[features]`` float64, in the unit of the column.
        start: ``[features]`` float64, share of a period; -0.25 makes the cosine a sine.
    """

    kind: ClassVar[str] = "cycles"

    column: Tensor
    period: Tensor
    start: Tensor

    @property
    def buffers(self) -> dict[str, Tensor]:
        """Column, period and start."""
        return {"column": self.column, "period": self.period, "start": self.start}

    @staticmethod
    def compute(x: Tensor, buffers: Mapping[str, Tensor]) -> Tensor:
        """Converts a batch ``[samples, columns]``."""
        x = x.double()
        turns = x.index_select(1, buffers["column"]) / buffers["period"] + buffers["start"]
        # The fraction in float64, for seconds since 1970 have no digits to spare; its cosine has.
        return torch.cat([x, torch.cos(torch.remainder(turns, 1.0).float() * _TURN).double()], 1)

    def source(self, x: str, names: Mapping[str, str]) -> tuple[str, ...]:
        """The same as text."""
        turns = f"{x}.index_select(1, {names['column']}) / {names['period']} + {names['start']}"
        fraction = f"torch.remainder({turns}, 1.0).float()"
        return f"{x}.double()", f"torch.cat([{x}, torch.cos({fraction} * {_TURN!r}).double()], 1)"

    def invert(self, x: Tensor) -> Tensor:
        """The columns alone."""
        return x[:, : x.shape[1] - len(self.column)]

    def to(self, device: torch.device | str) -> Cycles:
        """The same on another device."""
        return Cycles(self.column.to(device), self.period.to(device), self.start.to(device))

    def shape_after(self, shape: Shape) -> Shape:
        """With the further features."""
        return (shape[0] + len(self.column),)

    def entry(self) -> dict[str, Any]:
        """As numbers."""
        return {name: value.tolist() for name, value in self.buffers.items()}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], shape: Shape) -> Cycles:
        """From what `entry` gave."""
        (columns,) = shape
        column = column_numbers(entry["column"], columns)
        period, start = (torch.tensor(entry[name], dtype=torch.float64) for name in ("period", "start"))
        if not period.shape == start.shape == column.shape or not bool((period > 0).all() & start.isfinite().all()):
            raise ValueError("each cycle has a column, a period above 0 and a start")
        return cls(column, period, start)
