"""Which loggers a run has, each with options of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from dagrow.callbacks.loggers import LOGGERS
from dagrow.registry import one_of
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.options import NamedClass


class LoggerSpec(NamedClass):
    """A logger: its name, and the options of its class that a file may set: none by which it writes elsewhere."""

    classes: ClassVar[Mapping[str, Any]] = LOGGERS
    own: ClassVar[frozenset[str]] = frozenset({"directory", "tracking_uri", "mode"})

    name: Annotated[str, one_of(LOGGERS)] = Field(
        description="`csv` writes `metrics.csv` into the run directory and needs nothing more; the others need the "
        "extra of their name"
    )
    options: FrozenDict[str, str | None] = Field(
        default=FrozenDict(), description="options of the logger, by their names there"
    )


def _entries(value: Any) -> Any:
    """A name alone, or a list of names and mappings."""
    found = value if isinstance(value, (list, tuple)) else (value,)
    return tuple({"name": entry} if isinstance(entry, str) else entry for entry in found)


Loggers = Annotated[tuple[LoggerSpec, ...], BeforeValidator(_entries)]
