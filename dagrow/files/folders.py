"""Folders whose files are all their own: nothing in them leads out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def first_link(folder: Path, names: Iterable[str], depth: int = 8) -> Path | None:
    """The first link among some entries of a folder and all that is below them; links are not followed.

    Args:
        folder: that holds the entries; it may itself be reached through a link.
        names: of the entries; they need not be there.
        depth: levels below the folder that are looked at.
    """
    for name in names:
        path = folder / name
        if path.is_symlink():
            return path
        if depth > 1 and path.is_dir():
            with os.scandir(path) as entries:
                inside = sorted(entry.name for entry in entries)
            if (found := first_link(path, inside, depth - 1)) is not None:
                return found
    return None
