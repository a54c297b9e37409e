"""Python names for generated code: legal, unique, and near to what they stand for."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

_LONGEST = 44
_CONFUSING = frozenset({"l", "I", "O"})


class Identifiers:
    """Hands out names that are unlike each other and unlike those taken."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {*taken, *_CONFUSING}

    def add(self, wanted: str, longest: int = _LONGEST) -> str:
        """The wanted name, shortened and numbered where it must be. ``wanted`` is an identifier already."""
        stem = wanted[:longest]
        name, number = stem, 1
        while name in self._taken:
            number += 1
            ending = f"_{number}"
            name = stem[: longest - len(ending)] + ending
        self._taken.add(name)
        return name


def class_name(name: str) -> str:
    """CamelCase of any text: ``digits_v2`` is ``DigitsV2``; nothing but letters and digits is let through."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    camel = "".join(word[0].upper() + word[1:] for word in words)[:_LONGEST]
    if not camel:
        return "Network"
    if camel[0].isdigit():
        return f"Net{camel}"
    return f"{camel}Network" if keyword.iskeyword(camel) or camel in _CONFUSING else camel


def plain_title(name: str) -> str:
    """The text as it may stand in a docstring: no quotes, no backslashes, no control characters."""
    title = re.sub(r"[^A-Za-z0-9 _.+-]+", " ", name)[:_LONGEST]
    return " ".join(title.split()) or "network"
