"""The one place that imports pyarrow: it is an extra."""

from __future__ import annotations

import importlib
from typing import Any

from dagrow.errors import DataError


def arrow(module: str = "") -> Any:
    """``pyarrow``, or one of its modules.

    Raises:
        DataError: if it is not installed.
    """
    try:
        return importlib.import_module(f"pyarrow.{module}" if module else "pyarrow")
    except ImportError as error:
        raise DataError("a table of mixed columns needs 'pyarrow': pip install dagrow[tables]") from error


def as_text(cells: Any) -> Any:
    """Cells of any simple type as an array of text; nothing stays nothing."""
    pa, compute = arrow(), arrow("compute")
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_string(cells.type):
        return cells
    return compute.cast(cells, pa.string())


def is_text(cells: Any) -> bool:
    """Whether cells hold text, or categories that are text."""
    types = arrow().types
    kind = cells.type.value_type if types.is_dictionary(cells.type) else cells.type
    return any(check(kind) for check in (types.is_string, types.is_large_string, types.is_string_view))
