"""Options of the command line that change a spec: ``growth.budget.steps=3``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dagrow.errors import Problem, SpecError
from dagrow.spec.data import drop_other_sources, sources
from dagrow.spec.document import Path, read_value
from dagrow.spec.edges import EDGES, tidy_edge
from dagrow.spec.names import right_names
from dagrow.spec.renamed import renamed_path

NAMED: tuple[Path, ...] = (("training", "optimizer"), ("training", "scheduler"))
"""Entries that name a class: text alone is its name."""
KEPT = ("lr",)
"""What such an entry keeps when it gets another name; the options of the class before go with it."""


@dataclass(frozen=True)
class Override:
    """One change: ``text`` as it was given, the entry it sets, and the new value."""

    text: str
    path: Path
    value: Any

    @classmethod
    def parse(cls, text: str) -> Override:
        """Reads ``key.path=value``; the value is YAML.

        Raises:
            SpecError: if it is not of that form.
        """
        key, equals, value = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or not all(path):
            raise SpecError([_refused(text, "write key.path=value, such as growth.budget.steps=3")])
        try:
            read = read_value(value)
        except SpecError as error:
            raise SpecError([_refused(text, problem.message) for problem in error.problems]) from None
        if path[:-1] == EDGES:
            path = (*EDGES, tidy_edge(path[-1]))
        elif path[:2] == EDGES and len(path) > 2:
            path = (*EDGES, tidy_edge(path[2]), *path[3:])
        path = renamed_path(path)
        if names := right_names(path):
            right = " or ".join(f"{name}={value.strip()}" for name in names)
            raise SpecError([_refused(text, f"a run file has no entry '{key.strip()}': write {right}")])
        return cls(text, path, read)


def apply_overrides(data: dict[str, Any], texts: Sequence[str]) -> dict[Path, str]:
    """Changes ``data`` in place, in the order given.

    Returns:
        Path of each entry that was set or newly made to the override that did it.

    Raises:
        SpecError: naming every override that cannot be applied.
    """
    owners: dict[Path, str] = {}
    problems: list[Problem] = []
    for text in texts:
        try:
            override = Override.parse(text)
            made = _set(data, override)
        except SpecError as error:
            problems += error.problems
            continue
        owners = {path: owner for path, owner in owners.items() if path[: len(override.path)] != override.path}
        owners[made] = text
        owners[override.path] = text
    if problems:
        raise SpecError(problems)
    return owners


def _set(data: dict[str, Any], override: Override) -> Path:
    """Sets the value; returns the outermost entry that had to be made for it."""
    path, here, made = override.path, data, override.path
    for depth, part in enumerate(path[:-1], start=1):
        inner = _entry(here, part, override)
        if inner is None:
            inner, made = {}, min(made, path[:depth], key=len)
        elif isinstance(inner, str) and path[:2] == EDGES and depth == 3:
            inner = {"op": inner}
        elif not isinstance(inner, dict | list):
            raise SpecError([_refused(override.text, f"'{'.'.join(path[:depth])}' is a value, without fields")])
        _put(here, part, inner, override)
        here = inner
    _put(here, path[-1], _named(here, override) if path in NAMED else override.value, override)
    if path[0] == "data" and len(path) > 1 and path[1] in sources() and override.value is not None:
        drop_other_sources(data["data"], path[1])
    return made


def _named(here: Any, override: Override) -> Any:
    """The value of an entry that names a class: of a text, the entry with that name."""
    if not isinstance(override.value, str):
        return override.value
    before = here.get(override.path[-1]) if isinstance(here, dict) else None
    kept = {key: before[key] for key in KEPT if key in before} if isinstance(before, dict) else {}
    return {"name": override.value, **kept}


def _entry(here: Any, part: str, override: Override) -> Any:
    return here[_index(here, part, override)] if isinstance(here, list) else here.get(part)


def _put(here: Any, part: str, value: Any, override: Override) -> None:
    here[_index(here, part, override) if isinstance(here, list) else part] = value


def _index(here: list[Any], part: str, override: Override) -> int:
    if not (part.isdecimal() and int(part) < len(here)):
        raise SpecError([_refused(override.text, f"'{part}' is no index of a list of {len(here)}, counted from 0")])
    return int(part)


def _refused(text: str, message: str) -> Problem:
    return Problem((), f"--set {text}: {message}")
