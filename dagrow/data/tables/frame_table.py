"""A table that a user has in Python, as arrow reads it: of pandas, polars or pyarrow, or columns by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dagrow.data.tables.arrow import arrow
from dagrow.data.tables.table_file import Cells, TableFile, check_names
from dagrow.errors import DataError

_ROWS = 16_384


@dataclass(frozen=True)
class FrameTable(TableFile):
    """A table in memory.

    Attributes:
        names: of the columns.
        table: of pyarrow.
    """

    names: tuple[str, ...]
    table: Any

    @classmethod
    def of(cls, frame: Any) -> FrameTable:
        """The table of a frame; an index of pandas is no column of it.

        Args:
            frame: what hands out a stream of arrow (pandas, polars, pyarrow), or columns by their names.

        Raises:
            DataError: if pyarrow is missing, or makes no table of it.
        """
        pa = arrow()
        try:
            table = pa.table(dict(frame) if isinstance(frame, Mapping) else frame)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(f"no table can be made of it ({str(error).strip().splitlines()[0]:.200})") from error
        index = (table.schema.pandas_metadata or {}).get("index_columns", ())
        names = tuple(name for name in table.column_names if name not in index)
        check_names(names)
        return cls(names, table.select(names))

    @property
    def count(self) -> int:
        """Of its rows."""
        return int(self.table.num_rows)

    def batches(self, columns: Collection[str]) -> Iterator[Cells]:
        """The rows in their types."""
        wanted = [name for name in self.names if name in columns]
        for batch in self.table.select(wanted).to_batches(max_chunksize=_ROWS):
            yield dict(zip(wanted, batch.columns, strict=True))
