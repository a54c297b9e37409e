"""The sources of data that are built in. A new one is a file here and a line in `BUILT_IN`."""

from __future__ import annotations

from dagrow.data.builtin import BundledData
from dagrow.data.csv_table import CsvTable
from dagrow.data.data_source import SOURCES, register_source
from dagrow.data.npz import NpzFile

BUILT_IN = (BundledData, NpzFile, CsvTable)

for _source in BUILT_IN:
    register_source(_source)

__all__ = ["BUILT_IN", "SOURCES"]
