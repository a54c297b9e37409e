"""The kinds of column. A new one is a class like `NumberColumn`, and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagrow.data.tables.boolean_column import BooleanColumn
from dagrow.data.tables.category_column import CategoryColumn
from dagrow.data.tables.column import Column
from dagrow.data.tables.date_column import DateColumn
from dagrow.data.tables.number_column import NumberColumn
from dagrow.errors import DataError
from dagrow.registry import Registry

COLUMNS: Registry[type[Column]] = Registry(
    "kind of column",
    {column.kind: column for column in (NumberColumn, BooleanColumn, CategoryColumn, DateColumn)},
    error=DataError,
)


def column_entry(column: Column) -> dict[str, Any]:
    """As JSON takes it."""
    return {"name": column.name, "kind": column.kind, **column.entry()}


def column_of(entry: Mapping[str, Any]) -> Column:
    """From what `column_entry` gave; raises what `Column.from_entry` does, or a DataError."""
    return COLUMNS.find(str(entry["kind"])).from_entry(str(entry["name"]), entry)
