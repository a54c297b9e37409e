"""Tables of mixed columns: read in batches, typed, encoded by steps that travel with the network."""

from dagrow.data.tables.source import Table
from dagrow.data.tables.table_reader import TableReader

__all__ = ["Table", "TableReader"]
