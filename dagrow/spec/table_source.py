"""What a run file says of a table of mixed columns: ``data: {table: ...}``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from dagrow.spec.column_options import ColumnOptions, Names
from dagrow.spec.data import DataSourceSpec
from dagrow.spec.graph import SpecPart

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?")
"""Cells of a text file that stand for nothing."""


class TableSplit(SpecPart):
    """Which rows of a table are kept for testing; rows at random, class by class, where neither is given."""

    group: str | None = Field(default=None, description="rows that share a value of this column stay together")
    time: str | None = Field(default=None, description="the last rows by this column are those to test with")

    @model_validator(mode="after")
    def _one(self) -> TableSplit:
        if (self.group is None) == (self.time is None):
            raise ValueError("give one of 'group' and 'time': the column by which the rows are split")
        return self


class _File(DataSourceSpec):
    """Where a table lies, and what is learned of it."""

    path: str = Field(description="a .csv, .tsv, .txt, .parquet, .feather or .arrow file")
    target: Names = Field(min_length=1, description="the column to learn, or several")
    test: str | None = Field(default=None, description="a second table with the same columns, to be judged by")
    split: TableSplit | None = Field(default=None, description="by group or by time")


class TableSpec(ColumnOptions, _File):
    """A table with named columns of numbers, words, yes and no, or dates, perhaps with gaps."""

    name: ClassVar[str] = "table"
    path_fields: ClassVar[tuple[str, ...]] = ("path", "test")
    scales_itself: ClassVar[bool] = True

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
