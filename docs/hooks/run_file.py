"""Writes the tables of docs/reference/run-file.md from the JSON schema of run files.

``python docs/hooks/run_file.py`` writes the page; ``--check`` says with its exit code whether it is up to date. Each
table stands behind a line ``<!-- fields: PART -->``, with PART an entry of the schema's ``$defs``, or ``RunSpec`` for
the file itself. Meanings are the descriptions of the fields; headings and other paragraphs are written by hand.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from dagrow.spec import RunSpec, run_schema
from dagrow.spec.options import NamedClass

DOCS = Path(__file__).resolve().parents[1]
PAGE = DOCS / "reference" / "run-file.md"

_TABLE = re.compile(r"(?P<mark>^<!-- fields: (?P<part>\w+) -->\n)(?:^\|.*\n)*", re.M)
_PAGE_NAME = re.compile(r"docs/([\w/-]+\.md)(#[\w-]+)?")
_NO_BOUND = 1e12
_GENERIC = frozenset({"foreach", "maximize", "capturable", "differentiable", "fused"})
"""Options that say how an optimizer computes, not what."""

Schema = Mapping[str, Any]


def filled(text: str) -> str:
    """The page with every table made anew."""
    schema = run_schema()
    parts = {**schema["$defs"], "RunSpec": schema}
    return _TABLE.sub(lambda found: found["mark"] + table(found["part"], parts[found["part"]]), text)


def table(name: str, part: Schema) -> str:
    """The fields of a part as a table in Markdown."""
    head = "| field | meaning | default | allowed |\n|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows(name, part))


def rows(name: str, part: Schema) -> Iterator[tuple[str, str, str, str]]:
    """Name, meaning, default and range of each field."""
    required = part.get("required", [])
    named = {model.__name__: model for model in NamedClass.__subclasses__()}.get(name)
    for field, entry in part["properties"].items():
        if named is not None and entry.get("$ref", "").endswith("Option"):
            continue
        meaning = _linked(entry.get("description", "the op" if field == "op" else ""))
        yield f"`{field}`", meaning, _default(name, field, entry, required), allowed(entry)
    if named is not None:
        meaning = _linked(named.model_fields["options"].description or "")
        yield "`options`", meaning, "`{}`", _options(named)


def allowed(entry: Schema) -> str:
    """The values that a field takes, in words."""
    for key, words in _WORDS.items():
        if key in entry:
            return words(entry)
    kinds = [entry["type"]] if isinstance(entry["type"], str) else entry["type"]
    return _TYPES[next(kind for kind in kinds if kind != "null")](entry)


def _default(part: str, field: str, entry: Schema, required: list[str]) -> str:
    if field in required and "const" not in entry:
        return "required"
    if "default" in entry:
        value = entry["default"]
        same = isinstance(value, list) and len({*value}) == 1 and _is_one_or_several(entry)
        return _code(value[0] if same else value)
    if "$ref" in entry and part != "DataSpec":
        section = RunSpec.model_fields[field].get_default(call_default_factory=True) if part == "RunSpec" else None
        given = section.model_dump(exclude_defaults=True) if section is not None else {}
        return _code(given) if given else "its defaults"
    return "left out"


def _is_one_or_several(entry: Schema) -> bool:
    """Whether one number stands for as many equal ones."""
    return any("minItems" in part and part["minItems"] == part.get("maxItems") for part in _flat(entry))


def _flat(entry: Schema) -> list[Schema]:
    """The alternatives of an entry, those within alternatives too."""
    return [part for each in entry["anyOf"] for part in _flat(each)] if "anyOf" in entry else [entry]


def _any(entry: Schema) -> str:
    parts = [part for part in _flat(entry) if part.get("type") != "null"]
    words = [allowed(part) for part in parts if "const" not in part and part.get("maxItems") != 1]
    return ", or ".join([*dict.fromkeys(words), *(_code(part["const"]) for part in parts if "const" in part)])


def _number(entry: Schema) -> str:
    low, above = entry.get("minimum"), entry.get("exclusiveMinimum")
    high, below = entry.get("maximum", _NO_BOUND), entry.get("exclusiveMaximum", _NO_BOUND)
    start = f"from {low:.12g}" if low is not None else f"above {above:.12g}" if above is not None else "a number"
    if high < _NO_BOUND:
        return f"{low:.12g} to {high:.12g}" if low is not None else f"{start}, {high:.12g} at most"
    return f"{start}, below {below:.12g}" if below < _NO_BOUND else start


def _array(entry: Schema) -> str:
    if "prefixItems" in entry:
        return f"a list of {len(entry['prefixItems'])}: {', '.join(map(allowed, entry['prefixItems']))}"
    count, most = entry.get("minItems"), entry.get("maxItems")
    if count == most and count is not None:
        return {2: "a pair", 3: "a triple"}.get(count, f"a list of {count}")
    items = allowed(entry["items"])
    return f"a list of {items if items != 'a number' else 'numbers'}" + (f"; {count} to {most} of them" if most else "")


def _mapping(entry: Schema) -> str:
    values = entry.get("additionalProperties")
    return f"a mapping to {allowed(values)}" if isinstance(values, dict) and "enum" in values else "a mapping"


def _options(model: type[NamedClass]) -> str:
    """The first options of each class, by its name."""
    told = []
    for name in model.classes:
        names = [option for option in model.option_names(name) if option not in _GENERIC]
        told.append(f"`{name}`: {', '.join([*names[:4], '...'])}")
    return "; ".join(told)


def _linked(text: str) -> str:
    """Pages of the documentation that a text names, as links."""

    def link(found: re.Match[str]) -> str:
        path, anchor = os.path.relpath(found[1], PAGE.parent.relative_to(DOCS)), found[2] or ""
        words = anchor[1:].replace("-", " ") or Path(path).name
        return f"[{words}]({path if path != PAGE.name else ''}{anchor})"

    return _PAGE_NAME.sub(link, text)


def _code(value: Any) -> str:
    written = yaml.safe_dump(value, default_flow_style=True, width=10**6).splitlines()[0]
    return f"`{written}`"


def _names(values: Any) -> str:
    return ", ".join(_code(value) for value in values)


_WORDS = {
    "const": lambda entry: _code(entry["const"]),
    "enum": lambda entry: _names(entry["enum"]),
    "examples": lambda entry: _names(entry["examples"]),
    "$ref": lambda entry: "below",
    "anyOf": _any,
}
_TYPES = {
    "boolean": lambda entry: "`true`, `false`",
    "integer": _number,
    "number": _number,
    "string": lambda entry: "text",
    "array": _array,
    "object": _mapping,
}


def main() -> int:
    """Writes the page, or compares it; 1 if it has to be written anew."""
    text = PAGE.read_text(encoding="utf-8")
    made = filled(text)
    if "--check" in sys.argv[1:]:
        return int(made != text)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
