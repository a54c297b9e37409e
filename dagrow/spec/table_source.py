"""What a run file says of a table of mixed columns: ``data: {table: ...}``."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from dagrow.registry import one_of
from dagrow.spec.data import DataSourceSpec
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.graph import SpecPart
from dagrow.spec.growth import Count

ColumnKind = Annotated[str, one_of("kind of column")]

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?")
"""Cells of a text file that stand for nothing."""


def _names(value: Any) -> Any:
    """One name may stand for a list of one."""
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class TableSplit(SpecPart):
    """Which rows of a table are kept for testing; rows at random, class by class, where neither is given."""

    group: str | None = Field(default=None, description="rows that share a value of this column stay together")
    time: str | None = Field(default=None, description="the last rows by this column are those to test with")

    @model_validator(mode="after")
    def _one(self) -> TableSplit:
        if (self.group is None) == (self.time is None):
            raise ValueError("give one of 'group' and 'time': the column by which the rows are split")
        return self


class TableSpec(DataSourceSpec):
    """A table with named columns of numbers, words, yes and no, or dates, perhaps with gaps."""

    name: ClassVar[str] = "table"
    path_fields: ClassVar[tuple[str, ...]] = ("path", "test")
    scales_itself: ClassVar[bool] = True

    path: str = Field(description="a .csv, .tsv, .txt, .parquet, .feather or .arrow file")
    target: Names = Field(min_length=1, description="the column to learn, or several")
    test: str | None = Field(default=None, description="a second table with the same columns, to be judged by")
    split: TableSplit | None = Field(default=None, description="by group or by time")
    types: FrozenDict[str, ColumnKind] = Field(default=FrozenDict(), description="kinds of columns, by their names")
    date_formats: FrozenDict[str, str] = Field(
        default=FrozenDict(), description="how dates are written in a column, as %d.%m.%Y"
    )
    keep: Names = Field(default=(), description="columns that are read although they look constant or like an id")
    drop: Names = Field(default=(), description="columns that are left out")
    inputs: FrozenDict[str, Names] = Field(
        default=FrozenDict(), description="the columns that each input of the graph reads, where it has several"
    )
    max_categories: Count = Field(default=32, description="of a column that are told apart; the rarest become 'other'")
    min_count: Count = Field(default=2, description="training rows that a category needs to be told apart")
    standardize: bool = Field(default=True, description="numbers and dates to mean 0, deviation 1 of the training rows")
    missing: tuple[str, ...] = Field(default=MISSING, description="cells of a text file that stand for nothing")
    separator: str | None = Field(
        default=None, min_length=1, max_length=1, description="between the cells of a text file; found if left out"
    )
    encoding: str | None = Field(default=None, description="of a text file; found if left out")
    decimal: Literal[".", ","] | None = Field(default=None, description="of a text file; found if left out")

    @model_validator(mode="after")
    def _one_way_to_split(self) -> TableSpec:
        if self.test is not None and self.split is not None:
            raise ValueError("'test' and 'split' both say what to test with: leave one of them out")
        return self
