"""``SHA256SUMS``: the checksums of the files in a folder, as ``sha256sum -c SHA256SUMS`` takes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from dagrow.errors import RunError
from dagrow.files.reading import check_size, open_file, read_file
from dagrow.files.writing import replace_file

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_MOST, _PIECE = 16 * 2**20, 2**20


def sha256(content: bytes) -> str:
    """Of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def write_sums(folder: Path, files: Iterable[Path]) -> None:
    """Writes down the checksums of files inside a folder; what the disk refuses is an OSError."""
    lines = [f"{_of_file(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    replace_file(folder / SUMS, "".join(lines).encode("utf-8"))


def check_sums(folder: Path, files: Iterable[Path]) -> None:
    """Compares files with what was written down of them; those of which nothing was are left out.

    Raises:
        RunError: naming a file that is another than it was, or gone; or if the checksums themselves are damaged.
    """
    known = _read(folder)
    for file in files:
        name = file.relative_to(folder).as_posix()
        if name not in known:
            continue
        try:
            found = _of_file(file)
        except OSError as error:
            raise RunError(f"{file}: {error.strerror or error}") from error
        if found != known[name]:
            raise RunError(
                f"{file}: does not match its checksum in {SUMS}: it was damaged or changed after the run ended"
            )


def _read(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    try:
        lines = read_file(path, _MOST, follow=False).decode("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        lines = [""]
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found):
        raise RunError(f"{path}: damaged: a line of it is no checksum")
    return {line[2]: line[1] for line in found if line is not None}


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with open_file(path, follow=False) as file:
        check_size(file, path)
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
