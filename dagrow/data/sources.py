"""The kinds of source. A new one is a file with a function and a line in `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable

from dagrow.data.builtin import read_builtin
from dagrow.data.csv_table import read_csv
from dagrow.data.in_memory import read_in_memory
from dagrow.data.npz import read_npz
from dagrow.data.raw import Raw
from dagrow.errors import DataError, listed
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.run import DataSpec

Source = Callable[[DataSpec, Dag, Loss], Raw]

SOURCES: dict[str, Source] = {  # by the field of DataSpec that asks for it
    "dataset": read_builtin,
    "npz": read_npz,
    "csv": read_csv,
    "in_memory": read_in_memory,
}


def chosen_source(spec: DataSpec) -> tuple[str, Source]:
    """What to call the source in messages, and how to read it."""
    for kind, source in SOURCES.items():
        value = getattr(spec, kind)
        if value is not None:
            return {"dataset": f"data set '{value}'", "in_memory": "data.in_memory"}.get(kind, str(value)), source
    raise DataError(f"no source of data; give one of {listed(SOURCES)}")
