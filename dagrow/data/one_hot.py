"""Categories as the network sees them: one feature for each, 1 where a sample has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from dagrow.data.missing import column_numbers
from dagrow.data.step import PreprocessingStep
from dagrow.layout import Shape


@dataclass(frozen=True, eq=False)
class OneHot(PreprocessingStep):
    """The columns of `plain`, then features that are 1 where a column has a certain code, else 0.

    Attributes:
        plain: ``[columns]`` int64, the columns that stay as they are.
        column: ``[features]`` int64, which column each feature compares.
        code: ``[features]`` float64, what it compares it with.
    """

    kind: ClassVar[str] = "one_hot"

    plain: Tensor
    column: Tensor
    code: Tensor

    @property
    def buffers(self) -> dict[str, Tensor]:
        """Plain, column and code."""
        return {"plain": self.plain, "column": self.column, "code": self.code}

    @staticmethod
    def compute(x: Tensor, buffers: Mapping[str, Tensor]) -> Tensor:
        """Converts a batch ``[samples, columns]``."""
        x = x.double()
        same = x.index_select(1, buffers["column"]) == buffers["code"]
        return torch.cat([x.index_select(1, buffers["plain"]), same.double()], 1)

    def source(self, x: str, names: Mapping[str, str]) -> tuple[str, ...]:
        """The same as text."""
        same = f"({x}.index_select(1, {names['column']}) == {names['code']}).double()"
        return f"{x}.double()", f"torch.cat([{x}.index_select(1, {names['plain']}), {same}], 1)"

    def invert(self, x: Tensor) -> Tensor:
        """The columns, each category that of the largest of its features."""
        count = 1 + max([*self.plain.tolist(), *self.column.tolist()])
        columns = x.new_zeros((len(x), count), dtype=torch.float64)
        columns[:, self.plain] = x[:, : len(self.plain)].double()
        features = x[:, len(self.plain) :]
        for column in sorted(set(self.column.tolist())):
            own = self.column == column
            columns[:, column] = self.code[own][features[:, own].argmax(1)]
        return columns

    def to(self, device: torch.device | str) -> OneHot:
        """The same on another device."""
        return OneHot(self.plain.to(device), self.column.to(device), self.code.to(device))

    def shape_after(self, shape: Shape) -> Shape:
        """As many features as there are plain columns and codes."""
        return (len(self.plain) + len(self.column),)

    def entry(self) -> dict[str, Any]:
        """As numbers."""
        return {name: value.tolist() for name, value in self.buffers.items()}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], shape: Shape) -> OneHot:
        """From what `entry` gave."""
        (columns,) = shape
        plain, column = (column_numbers(entry[name], columns) for name in ("plain", "column"))
        code = torch.tensor(entry["code"], dtype=torch.float64)
        if code.shape != column.shape or len(plain) + len(column) == 0 or not bool(code.isfinite().all()):
            raise ValueError("each feature has a column and a code")
        return cls(plain, column, code)
