"""Folders that are named after numbers, ``000003``; what has another name is none of ours."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

_MOST_DIGITS = 15


def numbered(folder: Path) -> dict[int, Path]:
    """The folders inside ``folder`` that bear a number as `numbered_path` writes it, in order; links are left out."""
    return dict(sorted(_found(folder)))


def numbered_path(folder: Path, number: int) -> Path:
    """Where the folder with that number is."""
    return folder / f"{number:06}"


def hidden_path(folder: Path) -> Path:
    """A free name for what is not complete yet."""
    return folder / f".{uuid.uuid4().hex}.part"


def remove_leftovers(folder: Path) -> None:
    """Takes away what a killed process left unfinished."""
    if folder.is_dir() and not folder.is_symlink():
        for path in folder.glob(".*.part"):
            shutil.rmtree(path, ignore_errors=True)


def _found(folder: Path) -> Iterator[tuple[int, Path]]:
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in folder.iterdir():
        name = path.name
        # Digits of other scripts, or too few of them, are what `numbered_path` never writes.
        if name.isascii() and name.isdecimal() and len(name) <= _MOST_DIGITS and path.is_dir():
            number = int(name)
            if path == numbered_path(folder, number) and not path.is_symlink():
                yield number, path
