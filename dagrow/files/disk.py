"""What the disk refuses, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagrow.errors import RunError


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns errors of the disk into a `RunError` that names the run directory."""
    try:
        yield
    except OSError as error:
        if not folder.is_dir():
            raise RunError(f"{folder} was removed while the run was writing to it") from error
        raise RunError(f"{folder} cannot be written: {error.strerror or error}") from error
