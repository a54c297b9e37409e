"""Reads a journal, also one that a stranger has made: bounded, typed, one message for what is wrong with it."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from pydantic import ValidationError

from dagrow.errors import RunError
from dagrow.training.events import LINE, SCHEMA

MAX_LINE = 16 * 2**20
"""Bytes of one line: a plan with thousands of candidates has some 2 MB."""
MAX_BYTES = 512 * 2**20
MAX_VALUES = 20_000_000
"""Values in all lines together: each takes some 100 bytes of memory, whatever its text is."""

_TOLERATED = {"missing", "extra_forbidden", "union_tag_invalid"}
"""What events of an older or newer version may lack, have besides, or be."""


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The events of a journal file; a last line that was not written to its end is left out.

    Raises:
        RunError: if the file is missing, no journal, or larger than any run would make it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            _refuse(path, None, "is no file")
        if path.stat().st_size > MAX_BYTES:
            _refuse(path, None, f"has more than {MAX_BYTES >> 20} MB: this is no journal")
        with path.open("rb") as file:
            return list(_events(file, path))
    except FileNotFoundError:
        raise RunError(f"{path.parent} is no run directory: there is no {path.name} in it") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error


def events_of(content: bytes, path: Path) -> list[dict[str, Any]]:
    """The events in some content of a journal.

    Raises:
        RunError: if a line is none, named after ``path``.
    """
    return list(_events(io.BytesIO(content), path))


def last_event(path: Path) -> dict[str, Any]:
    """The last event of a journal; an empty one if there is none, or its line was not written to the end."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MAX_LINE))
            return _event((file.read(MAX_LINE).splitlines() or [b""])[-1])
    except (OSError, ValueError):
        return {}


def _events(file: IO[bytes], path: Path) -> Iterator[dict[str, Any]]:
    number = values = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            _refuse(path, number, f"a line of more than {MAX_LINE >> 20} MB")
        values += line.count(b",") + line.count(b"[") + line.count(b"{")
        if values > MAX_VALUES:
            _refuse(path, number, f"more than {MAX_VALUES} values")
        try:
            event = _event(line)
        except ValueError as error:
            if line.endswith(b"\n"):
                _refuse(path, number, f"not a line of a journal ({error})")
            return
        yield event


def _refuse(path: Path, number: int | None, message: str) -> NoReturn:
    raise RunError(f"{path}: {message}" if number is None else f"{path}:{number}: {message}") from None


def _event(line: bytes) -> dict[str, Any]:
    """One event.

    Raises:
        ValueError: if the line is none.
    """
    try:
        event = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise ValueError("no 'event'")
    if event["event"] == "start" and isinstance(version := event.get("schema"), int) and version > SCHEMA:
        raise ValueError(f"its schema {version} is of a newer dagrow; this one reads up to {SCHEMA}")
    try:
        LINE.validate_python(event)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            place = each["loc"][1:]
            old = place == ("schema",)
            if not old and (each["type"] not in _TOLERATED or place == ("step",)):
                raise ValueError(f"{' / '.join(map(str, place))}: {each['msg']}") from None
    return event


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
