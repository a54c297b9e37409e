"""The sources of data that are built in. A new one is a file here and a line in `BUILT_IN`."""

from __future__ import annotations

from dagrow.data.arrays import ArrayFiles
from dagrow.data.builtin import BundledData
from dagrow.data.csv_table import CsvTable
from dagrow.data.data_source import SOURCES, register_source
from dagrow.data.images import Images
from dagrow.data.in_memory import InMemory
from dagrow.data.npz import NpzFile
from dagrow.data.tables import Table
from dagrow.data.text_file import TextFile

BUILT_IN = (BundledData, NpzFile, CsvTable, Table, Images, ArrayFiles, TextFile, InMemory)

for _source in BUILT_IN:
    register_source(_source)

__all__ = ["BUILT_IN", "SOURCES"]
