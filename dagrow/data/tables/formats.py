"""The kinds of file that hold a table. A new one is a class like `ParquetTable` and a line here."""

from __future__ import annotations

from pathlib import Path

from dagrow.data.tables.table_file import Opener, TableFile, TextOptions, check_names
from dagrow.data.tables.text_table import TextTable
from dagrow.data.tables.typed_table import FeatherTable, ParquetTable
from dagrow.errors import DataError
from dagrow.registry import Registry

FORMATS: Registry[Opener] = Registry(
    "kind of table",
    {
        ".csv": TextTable.opened,
        ".tsv": TextTable.opened,
        ".txt": TextTable.opened,
        ".parquet": ParquetTable.opened,
        ".feather": FeatherTable.opened,
        ".arrow": FeatherTable.opened,
    },
    error=DataError,
)
"""By the ending of a file name."""


def open_table(path: str, options: TextOptions) -> TableFile:
    """The table in a file, whose ending says of which kind it is.

    Raises:
        DataError: if there is none, or it is damaged.
    """
    table = FORMATS.find(Path(path).suffix.lower())(path, options)
    check_names(table.names)
    return table
