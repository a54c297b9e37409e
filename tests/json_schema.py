"""The part of JSON schema that ours use."""

import re
from typing import Any


def accepts(schema: Any, value: Any, root: dict[str, Any]) -> bool:
    """Whether a value is as a schema says; ``root`` holds its definitions."""
    if "$ref" in schema and not accepts(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], value, root):
        return False
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    if "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        numbers = isinstance(value, bool) and "boolean" not in types
        if numbers or not any(isinstance(value, kinds[kind]) for kind in types):
            return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "anyOf" in schema and not any(accepts(part, value, root) for part in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(accepts(part, value, root) for part in schema["oneOf"]) != 1:
        return False
    if isinstance(value, str):
        return bool(re.search(schema.get("pattern", ""), value))
    if isinstance(value, list):
        parts = schema.get("prefixItems", [schema.get("items", {})] * len(value))[: len(value)]
        sizes = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9)
        return sizes and all(accepts(part, item, root) for part, item in zip(parts, value, strict=False))
    if isinstance(value, dict):
        return _accepts_entries(schema, value, root)
    if isinstance(value, int | float):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return True


def _accepts_entries(schema: Any, value: dict[str, Any], root: dict[str, Any]) -> bool:
    if not set(schema.get("required", [])) <= set(value) or len(value) < schema.get("minProperties", 0):
        return False
    for key, entry in value.items():
        patterns = [part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        part = schema.get("properties", {}).get(key, patterns[0] if patterns else None)
        if part is None:
            if schema.get("additionalProperties") is False:
                return False
        elif not accepts(part, entry, root):
            return False
    return True
