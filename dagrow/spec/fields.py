"""Types of fields that several parts of a run file have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
)
from pydantic_core import PydanticCustomError

Count = Annotated[int, Field(ge=1, le=2**40)]
Epochs = Annotated[int, Field(ge=0, le=10**6)]


def number_or_auto(value: Any) -> Any:
    """Refuses text other than 'auto'."""
    if isinstance(value, str) and value != "auto":
        raise PydanticCustomError("auto", "give a number or 'auto', not {value}", {"value": repr(value)})
    return value


def _one_or_more(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else (value,)


def _shorter(value: tuple[Any, ...]) -> Any:
    return value[0] if len(value) == 1 else value


class _OneOrMore:
    """In the schema of a list, that an entry may stand for a list of one."""

    @staticmethod
    def __get_pydantic_json_schema__(core: Any, handler: GetJsonSchemaHandler) -> Any:
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


SEVERAL = (Field(min_length=1), BeforeValidator(_one_or_more), PlainSerializer(_shorter), _OneOrMore)
"""One entry or a list of them, in files; always a tuple here."""
