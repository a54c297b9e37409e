"""Samples that are given in Python: a run file can only say that they were."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from dagrow.data.data_source import DataSource, ReadSettings
from dagrow.data.raw import Raw
from dagrow.errors import DataError
from dagrow.graph import Dag
from dagrow.objectives import Loss
from dagrow.spec.column_options import ColumnOptions


class InMemory(DataSource):
    """Samples that were given to `dagrow.grow` in Python."""

    name: ClassVar[str] = "in_memory"
    main_field: ClassVar[str] = "given"

    given: Literal[True] = Field(
        description="the samples were given to `dagrow.grow` in Python, which writes this entry; whoever continues "
        "such a run gives them again (docs/how-to/python.md)"
    )
    columns: ColumnOptions = Field(
        default=ColumnOptions(), description="of a table that is given, where it has gaps, words or dates"
    )

    @property
    def title(self) -> str:
        """How messages call it."""
        return "data.in_memory"

    def read(self, dag: Dag, loss: Loss, settings: ReadSettings) -> Raw:
        """Refuses: the samples are not in the file.

        Raises:
            DataError: always.
        """
        raise DataError(
            "the samples of this run were given in Python, and a file does not hold them; "
            "give them again: dagrow.grow(..., train=...), with resume=True to continue"
        )
