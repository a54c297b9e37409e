"""Gaps of a table: each is filled with a value of its column, and may be told by a further feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from dagrow.data.step import PreprocessingStep
from dagrow.layout import Shape


@dataclass(frozen=True, eq=False)
class Missing(PreprocessingStep):
    """NaN becomes `fill`; behind the columns stand features that are 1 where one of `told` was NaN, else 0.

    Attributes:
        fill: ``[columns]`` float64, what stands for a missing value.
        told: ``[features]`` int64, the columns that have such a feature.
    """

    kind: ClassVar[str] = "missing"

    fill: Tensor
    told: Tensor

    @property
    def buffers(self) -> dict[str, Tensor]:
        """Fill and told."""
        return {"fill": self.fill, "told": self.told}

    @staticmethod
    def compute(x: Tensor, buffers: Mapping[str, Tensor]) -> Tensor:
        """Converts a batch ``[samples, columns]``."""
        x = x.double()
        gaps = torch.isnan(x)
        return torch.cat([torch.where(gaps, buffers["fill"], x), gaps.index_select(1, buffers["told"]).double()], 1)

    def source(self, x: str, names: Mapping[str, str]) -> tuple[str, ...]:
        """The same as text."""
        filled = f"torch.where(torch.isnan({x}), {names['fill']}, {x})"
        told = f"torch.isnan({x}).index_select(1, {names['told']}).double()"
        return f"{x}.double()", f"torch.cat([{filled}, {told}], 1)"

    def invert(self, x: Tensor) -> Tensor:
        """The columns, with a gap where its feature is nearer to 1."""
        columns, gaps = x[:, : len(self.fill)].clone(), x[:, len(self.fill) :] > 0.5
        for number, column in enumerate(self.told.tolist()):
            columns[gaps[:, number], column] = torch.nan
        return columns

    def to(self, device: torch.device | str) -> Missing:
        """The same on another device."""
        return Missing(self.fill.to(device), self.told.to(device))

    def shape_after(self, shape: Shape) -> Shape:
        """With the further features."""
        return (shape[0] + len(self.told),)

    def entry(self) -> dict[str, Any]:
        """As numbers."""
        return {"fill": self.fill.tolist(), "told": self.told.tolist()}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], shape: Shape) -> Missing:
        """From what `entry` gave."""
        (columns,) = shape
        fill, told = torch.tensor(entry["fill"], dtype=torch.float64), column_numbers(entry["told"], columns)
        if fill.shape != (columns,) or not bool(fill.isfinite().all()):
            raise ValueError(f"{columns} finite numbers are needed to fill gaps with")
        return cls(fill, told)


def column_numbers(values: Any, columns: int) -> Tensor:
    """A list of columns, counted from 0.

    Raises:
        ValueError, TypeError: if it is none.
    """
    numbers = torch.tensor(values, dtype=torch.int64)
    if numbers.shape != (len(values),) or bool(((numbers < 0) | (numbers >= columns)).any()):
        raise ValueError(f"columns are counted from 0 to {columns - 1}")
    return numbers
