"""What a person may say of the columns of a table, wherever it lies: in a file, or in memory."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from dagrow.registry import one_of
from dagrow.spec.fields import Count
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.graph import SpecPart

ColumnKind = Annotated[str, one_of("kind of column")]


def _names(value: Any) -> Any:
    """One name may stand for a list of one."""
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class ColumnOptions(SpecPart):
    """Which columns of a table are read, as what, and by which input."""

    types: FrozenDict[str, ColumnKind] = Field(default=FrozenDict(), description="kinds of columns, by their names")
    date_formats: FrozenDict[str, str] = Field(
        default=FrozenDict(), description="how dates are written in a column, as %d.%m.%Y"
    )
    keep: Names = Field(default=(), description="columns that are read although they look constant or like an id")
    drop: Names = Field(default=(), description="columns that are left out")
    inputs: FrozenDict[str, Names] = Field(
        default=FrozenDict(), description="the columns that each input of the graph reads, where it has several"
    )
    max_categories: Count = Field(default=128, description="of a column that are told apart; the rarest become 'other'")
    min_count: Count = Field(default=2, description="training rows that a category needs to be told apart")
    standardize: bool = Field(default=True, description="numbers and dates to mean 0, deviation 1 of the training rows")

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that is named here."""
        inputs = [name for names in self.inputs.values() for name in names]
        return (*self.types, *self.date_formats, *self.keep, *self.drop, *inputs)

    @property
    def wanted(self) -> frozenset[str]:
        """Columns that are to be read whatever they look like."""
        return frozenset(name for names in (*self.inputs.values(), self.keep) for name in names)
