"""What a run file says of arrays that are read from their files row by row: ``data: {arrays: ...}``."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from dagrow.spec.data import DataSourceSpec
from dagrow.spec.frozen import FrozenDict


def _by_name(value: Any) -> Any:
    """One file may stand for a mapping: it is that of the only input or output."""
    return {"": value} if isinstance(value, str) else value


Files = Annotated[FrozenDict[str, str], BeforeValidator(_by_name)]


class ArraysSpec(DataSourceSpec):
    """``.npy`` files; inputs stay in them, and each batch is read from there, so that they may exceed the memory."""

    name: ClassVar[str] = "arrays"
    path_fields: ClassVar[tuple[str, ...]] = ("x", "y", "x_test", "y_test")

    x: Files = Field(min_length=1, description="the inputs: one file, or one per input by its name")
    y: Files = Field(min_length=1, description="the targets: one file, or one per output by its name")
    x_test: Files = Field(default=FrozenDict(), description="inputs to be judged by")
    y_test: Files = Field(default=FrozenDict(), description="targets to be judged by")
    tokens: bool = Field(
        default=False, description="x holds whole numbers, each of which becomes a vector with a 1 at that place"
    )
