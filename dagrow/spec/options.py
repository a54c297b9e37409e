"""Entries that name a class of torch, with the options of that class beside the name or under ``options``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from dagrow.errors import did_you_mean, listed
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.graph import SpecPart


class NamedClass(SpecPart):
    """A name, and options that the class of that name takes.

    Attributes:
        classes: the registry of the names.
        own: arguments of the classes that are no options: they are given otherwise.
    """

    classes: ClassVar[Mapping[str, Any]]
    own: ClassVar[frozenset[str]]

    if TYPE_CHECKING:
        # Each class has its own, with names and values of its own.
        name: str
        options: FrozenDict[str, Any]

    @classmethod
    def called(cls, entry: Any) -> Any:
        """What is called with the options of an entry."""
        return entry

    @classmethod
    def allowed_fields(cls, data: Any = None) -> list[str]:
        """The fields, and the options of the class that is named."""
        default = cls.model_fields["name"].default
        name = data.get("name", default) if isinstance(data, dict) else default
        return [*(field for field in super().allowed_fields(data) if field != "options"), *cls.option_names(name)]

    @classmethod
    def option_names(cls, name: Any = None) -> tuple[str, ...]:
        """The options of one class; those of all classes if there is none of that name."""
        known = isinstance(name, str) and name in cls.classes
        entries: Iterable[Any] = [cls.classes[name]] if known else cls.classes.values()
        names = [option for entry in entries for option in inspect.signature(cls.called(entry)).parameters]
        return tuple(option for option in dict.fromkeys(names) if option not in cls.own)

    @model_validator(mode="before")
    @classmethod
    def _options_beside_name(cls, value: Any) -> Any:
        # An option may stand beside the name; a key that is no option stays, and is reported as an unknown field.
        given = value.get("options", {}) if isinstance(value, dict) else None
        if not isinstance(given, dict):
            return value
        name = value.get("name", cls.model_fields["name"].default)
        flat = {key: value[key] for key in cls.option_names(name) if key in value}
        rest = {key: entry for key, entry in value.items() if key not in flat}
        return {**rest, "options": {**given, **flat}}

    @model_validator(mode="after")
    def _known_options(self) -> NamedClass:
        allowed = self.option_names(self.name)
        for key in self.options:
            if key not in allowed:
                raise PydanticCustomError(
                    "unknown_name",
                    "unknown option '{key}' of {name}{near}; allowed: {allowed}",
                    {
                        "key": key,
                        "name": self.name,
                        "near": did_you_mean(key, allowed),
                        "allowed": listed(allowed),
                    },
                )
        return self

    @model_serializer(mode="wrap")
    def _flat(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = handler(self)
        options = fields.pop("options", {})
        return {**fields, **options}
