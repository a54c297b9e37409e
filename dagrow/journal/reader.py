"""Reads a journal, also one that a stranger has made: bounded, typed, one message for what is wrong with it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from pydantic import ValidationError

from dagrow.errors import RunError
from dagrow.files import open_file
from dagrow.journal.events import LINE, SCHEMA

MAX_LINE = 16 * 2**20
"""Bytes of one line: a plan with thousands of candidates has some 2 MB."""
MAX_BYTES = 512 * 2**20
MAX_VALUES = 20_000_000
"""Values in all lines together: each takes some 100 bytes of memory, whatever its text is."""

CHECKSUM, _DIGITS = "checksum", 16
"""The last entry of each line: the first digits of SHA-256 over all lines before it and the rest of the line.

Lines of earlier versions have none.
"""
_SUMMED = re.compile(rb', "checksum": "[0-9a-f]{16}"\}\r?\n?$')
_WRITTEN_OUT = re.compile(rb'"checksum": "[0-9a-f]{16}"\}.')
"""A line that was written to its end, and whose line break is gone."""
_TOLERATED = {"missing", "extra_forbidden", "union_tag_invalid"}
"""What events of an older or newer version may lack, have besides, or be."""


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The events of a journal file; a last line that was not written to its end is left out.

    Raises:
        RunError: if the file is missing, no journal, or larger than any run would make it.
    """
    try:
        with open_file(path, follow=False) as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                _refuse(path, None, f"has more than {MAX_BYTES >> 20} MB: this is no journal")
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
    """The last event of a journal; an empty one if there is none, or its line cannot be read."""
    try:
        with open_file(path, follow=False) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MAX_LINE))
            event = _event((file.read(MAX_LINE).rstrip().splitlines() or [b""])[-1])
            event.pop(CHECKSUM, None)
            return event
    except (OSError, ValueError):
        return {}


def _events(file: IO[bytes], path: Path) -> Iterator[dict[str, Any]]:
    number, values, summed = 0, 0, False
    digest = hashlib.sha256()
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            _refuse(path, number, f"a line of more than {MAX_LINE >> 20} MB")
        values += line.count(b",") + line.count(b"[") + line.count(b"{")
        if values > MAX_VALUES:
            _refuse(path, number, f"more than {MAX_VALUES} values")
        try:
            event = _event(line)
            # A run that an early version began has its first lines without.
            if summed := event.pop(CHECKSUM, None) is not None or summed:
                _check(line, digest.copy())
        except ValueError as error:
            if line.endswith(b"\n") or _WRITTEN_OUT.search(line):
                _refuse(path, number, f"not a line of a journal ({error})")
            return
        digest.update(line)
        yield event


def with_checksum(line: bytes, before: hashlib._Hash) -> bytes:
    """A line of JSON with one more entry, its checksum.

    Args:
        line: of a JSON object that is not empty, with its line break.
        before: SHA-256 so far, over all lines before it.
    """
    before.update(line)
    return b'%s, "%s": "%s"}\n' % (line[:-2], CHECKSUM.encode(), before.hexdigest()[:_DIGITS].encode())


def _check(line: bytes, before: hashlib._Hash) -> None:
    found = _SUMMED.search(line)
    if found is None or with_checksum(line[: found.start()] + b"}\n", before).rstrip() != line.rstrip():
        raise ValueError("its checksum does not fit: it, or a line before it, was damaged or changed")


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
