"""The kinds of source. A new one is a file with a function and a line in `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable

from dagrow.data.arrays import read_arrays
from dagrow.data.builtin import read_builtin
from dagrow.data.csv_table import read_csv
from dagrow.data.images import read_images
from dagrow.data.npz import read_npz
from dagrow.data.raw import Raw
from dagrow.data.tables import read_table
from dagrow.errors import DataError, listed
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.run import DataSpec

Source = Callable[[DataSpec, Dag, Loss, int], Raw]
"""From the section, the graph, the loss and the seed of a split to what was found."""

SOURCES: dict[str, Source] = {  # by the field of DataSpec that asks for it
    "dataset": read_builtin,
    "npz": read_npz,
    "csv": read_csv,
    "table": read_table,
    "images": read_images,
    "arrays": read_arrays,
}


def chosen_source(spec: DataSpec) -> tuple[str, Source]:
    """What to call the source in messages, and how to read it."""
    for kind, source in SOURCES.items():
        value = getattr(spec, kind)
        if value is not None:
            place = getattr(value, "path", kind if kind == "arrays" else value)
            return (f"data set '{value}'" if kind == "dataset" else str(place)), source
    raise DataError(f"no source of data; give one of {listed(SOURCES)}")
