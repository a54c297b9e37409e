"""The JSON schema of a run file, for editors that complete and check while one types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from dagrow.callbacks.loggers import LOGGERS
from dagrow.methods import COMPLETIONS, METHODS
from dagrow.objectives import LOSSES
from dagrow.ops import ACTIVATIONS, NORMS, Pool, find_op, op_names
from dagrow.spec.loaders import VERSION
from dagrow.spec.loggers import LoggerSpec
from dagrow.spec.options import NamedClass
from dagrow.spec.run import DATASETS, OptimizerSpec, RunSpec, SchedulerSpec

_NAME = "[A-Za-z][A-Za-z0-9_]*"
_EDGE = rf"^\s*{_NAME}\s*->\s*{_NAME}\s*$"

Schema = dict[str, Any]


def run_schema() -> Schema:
    """JSON schema (draft 2020-12) of a run file, with the ops, methods and names registered now."""
    schema: Schema = _plain(RunSpec.model_json_schema())
    parts: dict[str, Schema] = schema["$defs"]
    del parts["Op"]
    for name in op_names():
        parts[f"op_{name}"] = _op(name)
    _graph(parts)
    _node(parts["NodeSpec"]["properties"])
    _names(parts["TrainingSpec"], "loss", LOSSES)
    _names(parts["GrowthSpec"], "method", METHODS)
    _names(parts["GrowthSpec"], "completion", COMPLETIONS)
    parts["DataSpec"]["properties"]["dataset"]["examples"] = list(DATASETS)
    for model in (OptimizerSpec, SchedulerSpec, LoggerSpec):
        _options(parts, model)
    _loggers(parts)
    schema["properties"] = {"version": {"const": VERSION}, **schema["properties"]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _graph(parts: dict[str, Schema]) -> None:
    fields = parts["GraphSpec"]["properties"]
    for section, part in (("inputs", "InputSpec"), ("nodes", "NodeSpec")):
        fields[section] = _mapping(f"^{_NAME}$", {"$ref": f"#/$defs/{part}"})
    ops = [{"$ref": f"#/$defs/op_{name}"} for name in op_names()]
    fields["edges"] = _mapping(_EDGE, {"oneOf": [{"enum": list(op_names())}, *ops]})
    fields["outputs"] = {"anyOf": [{"type": "string"}, fields["outputs"]]}


def _node(fields: dict[str, Schema]) -> None:
    fields["norm"]["enum"] = ["none", *NORMS]
    fields["activation"]["enum"] = list(ACTIVATIONS)
    fields["pool"]["anyOf"].insert(0, {"enum": list(get_args(Pool.model_fields["kind"].annotation))})


def _loggers(parts: dict[str, Schema]) -> None:
    """A name alone, or a list of names and mappings."""
    entry = {"anyOf": [{"enum": list(LOGGERS)}, {"$ref": "#/$defs/LoggerSpec"}]}
    fields = parts["TrainingSpec"]["properties"]
    told = {key: value for key, value in fields["loggers"].items() if key in ("default", "description", "title")}
    fields["loggers"] = {**told, "anyOf": [*entry["anyOf"], {"type": "array", "items": entry}]}


def _options(parts: dict[str, Schema], model: type[NamedClass]) -> None:
    """The options of a class stand beside its name."""
    part, option = parts[model.__name__], f"{model.__name__}Option"
    _names(part, "name", model.classes)
    parts[option] = part["properties"].pop("options")["additionalProperties"]
    part["properties"].update({name: {"$ref": f"#/$defs/{option}"} for name in model.option_names()})


def _op(name: str) -> Schema:
    part: Schema = _pairs(_plain(find_op(name).model_json_schema()))
    return {**part, "required": ["op", *part.get("required", [])]}


def _mapping(pattern: str, entry: Schema) -> Schema:
    return {
        "type": "object",
        "minProperties": 1,
        "patternProperties": {pattern: entry},
        "additionalProperties": False,
    }


def _names(part: Schema, field: str, table: Iterable[str]) -> None:
    part["properties"][field]["enum"] = list(table)


def _plain(value: Any) -> Any:
    """Pydantic's schema in few words: no made-up titles, no defaults of whole sections, null as a type."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return {"$ref": value["$ref"]}
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
