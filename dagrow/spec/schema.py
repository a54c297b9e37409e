"""The JSON schema of a run file, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from dagrow.callbacks.loggers import LOGGERS
from dagrow.ops import find_op, op_names
from dagrow.registry import load_plugins
from dagrow.spec.data import sources
from dagrow.spec.loaders import VERSION
from dagrow.spec.loggers import LoggerSpec
from dagrow.spec.options import NamedClass
from dagrow.spec.run import OptimizerSpec, RunSpec, SchedulerSpec

_NAME = "[A-Za-z][A-Za-z0-9_]*"
_EDGE = rf"^\s*{_NAME}\s*->\s*{_NAME}\s*$"

Schema = dict[str, Any]


def run_schema() -> Schema:
    """JSON schema (draft 2020-12) of a run file, with all names that are registered now, those of plugins too."""
    load_plugins()
    schema: Schema = _plain(RunSpec.model_json_schema())
    parts: dict[str, Schema] = schema["$defs"]
    del parts["Op"], parts["DataSourceSpec"]
    for name in op_names():
        parts[f"op_{name}"] = _op(name, parts)
    _graph(parts)
    _data(parts)
    for model in (OptimizerSpec, SchedulerSpec, LoggerSpec):
        _options(parts, model)
    _loggers(parts)
    version = {"const": VERSION, "default": VERSION, "description": "the version of this format"}
    schema["properties"] = {"version": version, **schema["properties"]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _graph(parts: dict[str, Schema]) -> None:
    fields = parts["GraphSpec"]["properties"]
    for section, part in (("inputs", "InputSpec"), ("nodes", "NodeSpec")):
        fields[section] = _mapping(fields[section], f"^{_NAME}$", {"$ref": f"#/$defs/{part}"})
    ops = [{"$ref": f"#/$defs/op_{name}"} for name in op_names()]
    fields["edges"] = _mapping(fields["edges"], _EDGE, {"oneOf": [{"enum": list(op_names())}, *ops]})
    outputs = fields["outputs"]
    described = {"description": outputs.pop("description")}
    fields["outputs"] = {"anyOf": [{"type": "string"}, outputs], **described}
    # A kind of pool alone is short for a mapping.
    parts["NodeSpec"]["properties"]["pool"]["anyOf"].insert(0, {"enum": parts["Pool"]["properties"]["kind"]["enum"]})


def _data(parts: dict[str, Schema]) -> None:
    """A source stands by its name, with its fields in it; with a short form, beside it."""
    section = parts["DataSpec"]
    common = section["properties"]
    del common["source"], section["required"]
    found: dict[str, Schema] = {}
    for name, source in sources().items():
        whole = _own(_plain(source.model_json_schema()), parts)
        if source.main_field:
            value, short = {**whole, "required": [source.main_field]}, whole["properties"][source.main_field]
            found[name] = {"anyOf": [short, value], "description": short.get("description", "")}
            found.update({field: whole["properties"][field] for field in source.beside()})
        else:
            parts[f"source_{name}"] = whole
            found[name] = {"$ref": f"#/$defs/source_{name}", "description": (source.__doc__ or "").split("\n")[0]}
    section["properties"] = {**found, **common}


def _loggers(parts: dict[str, Schema]) -> None:
    """A name alone, or a list of names and mappings."""
    entry = {"anyOf": [{"enum": list(LOGGERS)}, {"$ref": "#/$defs/LoggerSpec"}]}
    fields = parts["TrainingSpec"]["properties"]
    told = {key: value for key, value in fields["loggers"].items() if key in ("default", "description", "title")}
    fields["loggers"] = {**told, "anyOf": [*entry["anyOf"], {"type": "array", "items": entry}]}


def _options(parts: dict[str, Schema], model: type[NamedClass]) -> None:
    """The options of a class stand beside its name."""
    part, option = parts[model.__name__], f"{model.__name__}Option"
    parts[option] = part["properties"].pop("options")["additionalProperties"]
    part["properties"].update({name: {"$ref": f"#/$defs/{option}"} for name in model.option_names()})


def _own(schema: Schema, parts: dict[str, Schema]) -> Schema:
    """A schema without definitions of its own: they go to all others."""
    parts.update(schema.pop("$defs", {}))
    return schema


def _op(name: str, parts: dict[str, Schema]) -> Schema:
    part: Schema = _own(_pairs(_plain(find_op(name).model_json_schema())), parts)
    return {**part, "required": ["op", *part.get("required", [])]}


def _mapping(field: Schema, pattern: str, entry: Schema) -> Schema:
    return {
        "description": field["description"],
        "type": "object",
        "minProperties": 1,
        "patternProperties": {pattern: entry},
        "additionalProperties": False,
    }


def _plain(value: Any) -> Any:
    """Pydantic's schema in few words: no made-up titles, no defaults of whole sections, null as a type."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return {key: value[key] for key in ("$ref", "description") if key in value}
    kept = {key: _plain(entry) for key, entry in value.items() if not _is_noise(key, entry)}
    match kept.get("anyOf"):
        case [{"type": str(kind), **limits}, {"type": "null"}]:
            del kept["anyOf"]
            return {"type": [kind, "null"], **limits, **kept}
    return kept


def _is_noise(key: str, entry: Any) -> bool:
    return (key == "title" and isinstance(entry, str)) or (key == "default" and entry is None)


def _pairs(value: Any) -> Any:
    """A list of so many of the same kind may be written as one value: ``kernel: 3``."""
    if isinstance(value, list):
        return [_pairs(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"type": "array", "prefixItems": [first, *others]} if all(other == first for other in others):
            count = 1 + len(others)
            outer = {key: value[key] for key in ("default", "description") if key in value}
            return {
                "anyOf": [first, {"type": "array", "items": first, "minItems": count, "maxItems": count}],
                **outer,
            }
    return {key: _pairs(entry) for key, entry in value.items()}
