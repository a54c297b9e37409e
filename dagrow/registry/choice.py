"""Fields of specs that take a name out of a registry, as it is filled when a spec or a schema is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from dagrow.registry.table import Registry, registry, unknown

Table = Mapping[str, Any]


@dataclass(frozen=True)
class OneOf:
    """An annotation: the value is one of these names, as they are registered at that time.

    Attributes:
        tables: gives the tables. It is asked each time, so that they may be filled later than the field is declared.
        what: a name stands for, in words for the message.
        also: names that mean something without an entry, such as ``none``.
        only: whether an entry is one of those that the field takes.
    """

    tables: Callable[[], Iterable[Table]]
    what: str
    also: tuple[str, ...] = ()
    only: Callable[[Any], bool] = lambda entry: True

    def names(self) -> tuple[str, ...]:
        """All that are allowed now, in the order of registration."""
        found = [name for table in self.tables() for name, entry in table.items() if self.only(entry)]
        return (*self.also, *found)

    def allows(self, name: object) -> bool:
        """Whether it is one of them; plugins are loaded before it is not."""
        return isinstance(name, str) and (
            name in self.also or any(name in table and self.only(table[name]) for table in self.tables())
        )

    def check(self, value: Any) -> Any:
        """The value itself; for a name of an earlier version, that of today.

        Raises:
            PydanticCustomError: with the nearest name and all that are allowed, if it is none of them.
        """
        if not self.allows(value):
            # A message is a template: braces in a name are none of its fields.
            message = unknown(self.what, value, self.names())
            raise PydanticCustomError("unknown_name", "{message}", {"message": message, "value": repr(value)})
        for table in self.tables():
            value = table.current(value) if isinstance(table, Registry) else value
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return {**handler(core), "enum": list(self.names())}


def one_of(
    *tables: Table | str,
    what: str = "",
    also: tuple[str, ...] = (),
    only: Callable[[Any], bool] = lambda entry: True,
) -> OneOf:
    """An annotation for fields that take a name out of one of these tables.

    Args:
        tables: registries, or the names of registries that are filled by a part above.
        what: a name stands for, in words for the message; as the first registry says, if left out.
        also: names that are allowed without an entry.
        only: whether an entry is one of those that the field takes.
    """
    first = tables[0]
    words = first if isinstance(first, str) else first.what if isinstance(first, Registry) else ""
    return OneOf(
        lambda: (registry(table) if isinstance(table, str) else table for table in tables), what or words, also, only
    )
