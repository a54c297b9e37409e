"""Pydantic's validation errors in plain words, one problem for each place."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dagrow.errors import Problem, did_you_mean, listed
from dagrow.ops import Op, find_op, op_names
from dagrow.spec.document import MAX_PROBLEMS, Path
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.graph import SpecPart

_CUT = 60

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping (name: value)",
    "model_type": "a mapping (name: value)",
    "model_attributes_type": "a mapping (name: value)",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_pattern_mismatch": "text of the form {pattern}",
}
_QUOTED = re.compile(r"'([^']*)'")


def problems_of(
    error: ValidationError, model: type[BaseModel], data: Any, line: Callable[[Path], int | None]
) -> list[Problem]:
    """All that a failed validation found.

    Args:
        error: what pydantic raised.
        model: the class that was to be made.
        data: what it was to be made of.
        line: line of an entry, or of the nearest one that holds it.

    Returns:
        One problem for each path, by line, then path; `MAX_PROBLEMS` at most and how many more there are.
    """
    places: dict[Path, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        if _is_echo(details):
            continue
        places.setdefault(_path(details, data), []).append(details)
    order = sorted(places, key=lambda path: (line(path) or 0, path))
    problems = [Problem(path, _message(places[path], path, model, data), line(path)) for path in order[:MAX_PROBLEMS]]
    if len(order) > MAX_PROBLEMS:
        problems.append(Problem((), f"and {len(order) - MAX_PROBLEMS} more problems"))
    return problems


def _is_echo(details: ErrorDetails) -> bool:
    """Pydantic counts only the valid entries of a list, and so calls a list of bad ones too short as well."""
    found = details["input"]
    return details["type"] == "too_short" and isinstance(found, list) and len(found) >= details["ctx"]["min_length"]


def _path(details: ErrorDetails, data: Any) -> Path:
    """The entry as it stands in the file: without pydantic's labels for unions, keys and moved fields."""
    location = [str(part) for part in details["loc"]]
    absent = location.pop() if details["type"] == "missing" and isinstance(details["loc"][-1], str) else None
    path: list[str] = []
    for part in location:
        if isinstance(data, dict):
            if part not in data:
                continue
            data = data[part]
        elif isinstance(data, list) and part.isdecimal() and int(part) < len(data):
            data = data[int(part)]
        else:
            break
        path.append(part)
    return tuple(path) if absent is None else (*path, absent)


def _message(errors: Sequence[ErrorDetails], path: Path, model: type[BaseModel], data: Any) -> str:
    literals = [details for details in errors if details["type"] == "literal_error"]
    if len(literals) == len(errors):
        return _unknown_value(literals[0])
    wanted, others = [], []
    for details in errors:
        phrase = _expected(details)
        if phrase is None:
            others.append(_other(details, path, model, data))
        else:
            wanted.append(phrase)
    messages = [f"expected {_either(wanted)}, found {_shown(_entry(data, path))}"] if wanted else []
    return "; ".join(dict.fromkeys(messages + others))


def _entry(data: Any, path: Path) -> Any:
    for part in path:
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


def _expected(details: ErrorDetails) -> str | None:
    if details["type"] == "literal_error":
        return str(details["ctx"]["expected"])
    if details["type"] in _EXPECTED:
        return _EXPECTED[details["type"]].format(**details.get("ctx", {}))
    if details["msg"].startswith("Input should be "):
        return details["msg"].removeprefix("Input should be ")
    return None


def _either(phrases: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(phrases))
    if "a number" in distinct and "a whole number" in distinct:
        distinct.remove("a whole number")
    return " or ".join(distinct)


def _other(details: ErrorDetails, path: Path, model: type[BaseModel], data: Any) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        name, allowed = path[-1], _allowed(model, data, path[:-1])
        return f"unknown field '{name}'{did_you_mean(name, allowed)}; allowed: {listed(allowed)}"
    if kind == "missing":
        part = details["loc"][-1]
        return f"field '{part}' is missing" if isinstance(part, str) else f"entry {part + 1} of the list is missing"
    if kind == "too_short":
        return f"expected at least {_entries(context['min_length'])}, found {context['actual_length']}"
    if kind == "too_long":
        return f"expected at most {_entries(context['max_length'])}, found {context['actual_length']}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", details["msg"]))
    value = context.get("value")
    return details["msg"].replace(value, _cut(value)) if isinstance(value, str) and value else details["msg"]


def _unknown_value(details: ErrorDetails) -> str:
    allowed, value = _QUOTED.findall(details["ctx"]["expected"]), details["input"]
    near = did_you_mean(value, allowed) if isinstance(value, str) else ""
    return f"unknown value {_shown(value)}{near}; allowed: {listed(allowed)}"


def _allowed(model: type[BaseModel], data: Any, path: Path) -> list[str]:
    """The fields that the entry at ``path`` may have."""
    at: Any = model
    for part in path:
        if isinstance(data, (list, tuple)):
            # The annotation of a list is that of its entries.
            data = data[int(part)] if part.isdecimal() and int(part) < len(data) else None
            continue
        at = _inside(at, part)
        data = data.get(part) if isinstance(data, dict) else None
        # The class of an edge is named by the entry itself.
        if _model_in(at) is Op and isinstance(data, dict) and data.get("op") in op_names():
            at = find_op(data["op"])
    owner = _model_in(at)
    if owner is not None and issubclass(owner, SpecPart):
        return owner.allowed_fields(data)
    return list(owner.model_fields) if owner else []


def _inside(annotation: Any, part: str) -> Any:
    """The annotation of one entry of a model or a mapping."""
    if get_origin(annotation) is FrozenDict:
        return get_args(annotation)[1]
    owner = _model_in(annotation)
    if owner is not None and issubclass(owner, SpecPart):
        return owner.annotation_of(part)
    field = owner.model_fields.get(part) if owner else None
    return None if field is None else field.annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model class inside an annotation such as ``Pool | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _cut(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[:_CUT]}..."


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, str):
        return repr(_cut(value))
    return _cut(reprlib.repr(value))
