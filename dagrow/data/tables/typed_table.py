"""Tables in files that say the types of their columns: parquet, feather (the file format of arrow)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from dagrow.data.tables.arrow import arrow
from dagrow.data.tables.table_file import Cells, TableFile, TextOptions, opened

_ROWS = 16_384


@dataclass(frozen=True)
class ParquetTable(TableFile):
    """A table in a parquet file.

    Attributes:
        path: of the file.
        names: of the columns.
    """

    path: str
    names: tuple[str, ...]

    @classmethod
    def opened(cls, path: str, options: TextOptions) -> ParquetTable:
        """The table in a file; it says all by itself."""
        with opened(path) as file:
            return cls(path, tuple(map(str, arrow("parquet").ParquetFile(file).schema_arrow.names)))

    def batches(self, columns: Collection[str]) -> Iterator[Cells]:
        """The rows in their types."""
        with opened(self.path) as file:
            table = arrow("parquet").ParquetFile(file)
            wanted = [name for name in self.names if name in columns]
            # Group by group: a reader of several keeps what it has read of all of them.
            for group in range(table.num_row_groups):
                for batch in table.iter_batches(_ROWS, row_groups=[group], columns=wanted, use_threads=False):
                    yield dict(zip(batch.schema.names, batch.columns, strict=True))


@dataclass(frozen=True)
class FeatherTable(TableFile):
    """A table in a feather file, version 2.

    Attributes:
        path: of the file.
        names: of the columns.
    """

    path: str
    names: tuple[str, ...]

    @classmethod
    def opened(cls, path: str, options: TextOptions) -> FeatherTable:
        """The table in a file; it says all by itself."""
        with opened(path) as file:
            return cls(path, tuple(map(str, arrow("ipc").open_file(file).schema.names)))

    def batches(self, columns: Collection[str]) -> Iterator[Cells]:
        """The rows in their types."""
        with opened(self.path) as file:
            reader = arrow("ipc").open_file(file)
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                for start in range(0, batch.num_rows, _ROWS):
                    part = batch.slice(start, _ROWS)
                    yield {name: part.column(name) for name in self.names if name in columns}
