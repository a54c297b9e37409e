"""The ``data:`` section of a run file: one source, which brings its own fields, and what is done to its samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from dagrow.errors import listed
from dagrow.registry import Registry, registry
from dagrow.spec.augment import AugmentSpec
from dagrow.spec.graph import SpecPart

SOURCES = "source of data"
"""The registry of sources: classes, which `dagrow.data` fills."""

DEFAULT_SOURCE: Mapping[str, Any] = {"dataset": "digits"}
"""What a run learns whose file names no source."""


class DataSourceSpec(SpecPart):
    """What a run file says of a source of samples: the fields of a subclass.

    A file writes ``NAME: {FIELD: ...}``. If the class has a ``main_field``, ``NAME: VALUE`` is a short form for it, and
    the other fields stand beside the name.

    Attributes:
        name: as in run files.
        main_field: the field that the name itself may hold; empty for none.
        path_fields: fields that hold a path, or a mapping of them; a relative one starts at the folder of the run
            file.
        scales_itself: its fields say how inputs are scaled, and `DataSpec.standardize` does not go with it.
    """

    name: ClassVar[str]
    main_field: ClassVar[str] = ""
    path_fields: ClassVar[tuple[str, ...]] = ()
    scales_itself: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"source '{self.name}'"

    @classmethod
    def beside(cls) -> tuple[str, ...]:
        """The fields that stand beside the name."""
        return tuple(field for field in cls.model_fields if field != cls.main_field) if cls.main_field else ()


class _Written(NamedTuple):
    """A source as it was found in a section: its name, the fields, and where each of them stands."""

    name: str
    fields: dict[str, Any]
    paths: dict[str, tuple[str, ...]]


def _read(value: Any) -> Any:
    """The source; what is wrong with its fields is told where they stand in the section."""
    if not isinstance(value, _Written):
        return value
    try:
        return sources()[value.name].model_validate(value.fields)
    except ValidationError as error:
        found = []
        for each in error.errors(include_url=False):
            first, *rest = each["loc"] or ("",)
            path = value.paths.get(str(first), (value.name, *([first] if first else [])))
            context = {**each.get("ctx", {}), "message": each["msg"]}
            kind = PydanticCustomError(each["type"], "{message}", context)
            found.append(InitErrorDetails(type=kind, loc=(*path, *rest), input=each["input"]))
        raise ValidationError.from_exception_data(error.title, found) from None


class DataSpec(SpecPart):
    """Where samples come from, and how they are treated: exactly one source, by its name."""

    source: Annotated[SerializeAsAny[DataSourceSpec], BeforeValidator(_read)]
    test_fraction: float = Field(
        default=0.2,
        gt=0.0,
        lt=1.0,
        description=(
            "share of the samples kept for testing where the source has no split of its own; class by class "
            "where there are labels"
        ),
    )
    standardize: Literal["auto"] | bool = Field(
        default=False,
        description="shift and scale each feature (channel) to mean 0 and deviation 1 over the training set. `auto`: "
        "those of vectors, unless they are bytes or a data set has a unit of its own",
    )

    augment: AugmentSpec | None = Field(default=None, description="random changes of training maps")

    @model_validator(mode="after")
    def _one_scaling(self) -> DataSpec:
        if self.source.scales_itself and self.standardize is True:
            raise ValueError(
                f"a {self.source.name} has a 'standardize' of its own, which is true if left out: put it there"
            )
        return self

    @classmethod
    def own_fields(cls) -> tuple[str, ...]:
        """The fields that belong to no source."""
        return tuple(field for field in cls.model_fields if field != "source")

    @classmethod
    def allowed_fields(cls, data: Any = None) -> list[str]:
        """What a section may hold: the sources, what stands beside those that are named, and the common fields."""
        table = sources()
        named = [table[key] for key in (data if isinstance(data, dict) else {}) if key in table]
        beside = [field for source in named or table.values() for field in source.beside()]
        return list(dict.fromkeys((*table, *beside, *cls.own_fields())))

    @classmethod
    def annotation_of(cls, field: str) -> Any:
        """What a field holds: a source has fields of its own."""
        return sources()[field] if field in sources() else super().annotation_of(field)

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, value: Any) -> Any:
        if not isinstance(value, dict) or isinstance(value.get("source"), DataSourceSpec):
            return value
        if "source" in value:
            allowed = listed(cls.allowed_fields(value))
            raise PydanticCustomError("unknown_name", "unknown field 'source'; allowed: {names}", {"names": allowed})
        own, table = cls.own_fields(), sources()
        named = [key for key in value if key not in own and key in table]
        value = value if named else {**DEFAULT_SOURCE, **value}
        given = [key for key in named or DEFAULT_SOURCE if value[key] is not None]
        if len(given) != 1:
            raise ValueError(f"give one source of {_either(table)}, not {listed(given) or 'none'}")
        (name,) = given
        written = _written(name, table[name], value)
        for key in value:
            owners = [each for each, source in table.items() if key in source.beside()]
            if owners and name not in owners and value[key] is not None:
                raise ValueError(f"'{key}' goes with '{owners[0]}'")
        taken = {*named, name, *(path[0] for path in written.paths.values())}
        empty = {field for source in table.values() for field in source.beside() if value.get(field, 0) is None}
        return {"source": written, **{key: entry for key, entry in value.items() if key not in taken | empty}}

    @model_serializer(mode="wrap")
    def _by_name(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = handler(self)
        own, main = fields.pop("source", {}), self.source.main_field
        if main:
            value = own.pop(main, getattr(self.source, main))
            return {self.source.name: value, **own, **fields}
        return {self.source.name: own, **fields}


def default_data() -> DataSpec:
    """The section of a run file that has none."""
    return DataSpec.model_validate({})


def _written(name: str, source: type[DataSourceSpec], section: Mapping[str, Any]) -> _Written:
    """What a section says of one source."""
    entry = section[name]
    beside = {field: section[field] for field in source.beside() if section.get(field) is not None}
    places: dict[str, tuple[str, ...]] = {field: (field,) for field in beside}
    if isinstance(entry, dict):
        return _Written(name, {**beside, **entry}, places)
    if not source.main_field:
        raise PydanticCustomError(
            "no_fields",
            "'{name}' takes a mapping of its fields: {names}",
            {"name": name, "names": listed(source.model_fields)},
        )
    missing = {field: (field,) for field in source.beside()}
    return _Written(name, {source.main_field: entry, **beside}, {**missing, source.main_field: (name,), **places})


def _either(names: Mapping[str, Any]) -> str:
    *most, last = names
    return f"{listed(most)} and {last}" if most else last


def sources() -> Registry[type[DataSourceSpec]]:
    """The classes of sources by their names."""
    return registry(SOURCES)


def source_paths(section: Mapping[str, Any]) -> Iterator[tuple[Any, str, tuple[str, ...]]]:
    """Where paths of files stand in a section as written: the mapping, the key in it, and the way there."""
    for name, source in sources().items():
        entry = section.get(name)
        for field in source.path_fields if entry is not None else ():
            if isinstance(entry, dict) and isinstance(entry.get(field), dict):
                yield from ((entry[field], key, (name, field, key)) for key in entry[field])
            elif isinstance(entry, dict) and field in entry:
                yield entry, field, (name, field)
            elif field == source.main_field:
                yield section, name, (name,)
            elif field in section:
                yield section, field, (field,)


def drop_other_sources(section: dict[str, Any], kept: str) -> None:
    """Takes the sources but one out of a section as written, and what stands beside them."""
    table = sources()
    for name, source in table.items():
        if name != kept:
            for field in (name, *(field for field in source.beside() if field not in table[kept].beside())):
                section.pop(field, None)
