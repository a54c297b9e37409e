"""Yes or no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dagrow.data.tables.arrow import arrow, is_text
from dagrow.data.tables.column import Column, Read, Tally, refuse_cell
from dagrow.data.tables.numeric import UnscaledTally, as_floats

_FALSE, _TRUE = "false", "true"


@dataclass(frozen=True)
class BooleanColumn(Column):
    """A column of truth values, or of the words true and false, in capitals or not."""

    kind: ClassVar[str] = "boolean"

    def read(self, cells: Any, row: int) -> Read:
        """0 for false, 1 for true."""
        if not is_text(cells):
            values = as_floats(cells)
            wrong = ~(np.isnan(values) | (values == 0) | (values == 1))
        else:
            values = truth(cells)
            wrong = np.isnan(values) & ~np.asarray(cells.is_null().to_numpy(zero_copy_only=False))
        if wrong.any():
            raise refuse_cell(self.name, cells, row, int(wrong.argmax()), "true or false")
        return Read(values)

    def tally(self) -> Tally:
        """Their mean."""
        return UnscaledTally(self)


def truth(cells: Any) -> np.ndarray:
    """Words as numbers; NaN where a word is another, or none."""
    pa, compute = arrow(), arrow("compute")
    return as_floats(compute.index_in(compute.utf8_lower(cells), value_set=pa.array([_FALSE, _TRUE])))
