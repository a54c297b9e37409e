"""Numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dagrow.data.tables.column import Column, Read, Tally
from dagrow.data.tables.numeric import NumberTally, number_cells


@dataclass(frozen=True)
class NumberColumn(Column):
    """A column of numbers."""

    kind: ClassVar[str] = "number"

    def read(self, cells: Any, row: int) -> Read:
        """The numbers."""
        return Read(number_cells(self.name, cells, row))

    def tally(self) -> Tally:
        """Their moments."""
        return NumberTally(self)
