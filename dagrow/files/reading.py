"""Opens files that people exchange: only what is a plain file, at once, and no more than fits.

Whatever is refused is an OSError, as what the disk refuses is; its ``strerror`` says why.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISDIR, errno.EISDIR, "is a folder, not a file"),
    (stat.S_ISLNK, errno.ELOOP, "is a link, not a file"),
    (stat.S_ISFIFO, errno.EINVAL, "is a named pipe, not a file"),
    (stat.S_ISSOCK, errno.EINVAL, "is a socket, not a file"),
    (stat.S_ISCHR, errno.EINVAL, "is a device, not a file"),
    (stat.S_ISBLK, errno.EINVAL, "is a device, not a file"),
)


def open_file(path: str | Path, *, follow: bool = True) -> BinaryIO:
    """Opens a file to be read, in binary mode.

    A pipe would be waited for without end, and a device may have no end: neither is opened.

    Args:
        path: of the file.
        follow: whether it may be a link; with False, a link is refused as well.

    Raises:
        OSError: if there is none, or it is no plain file.
    """
    try:
        # Asked before it is opened, for opening a device can already do something.
        check_file(os.stat(path, follow_symlinks=follow), path)
    except ValueError as error:  # a NUL or half a character in the path
        raise OSError(errno.EINVAL, f"no path of a file ({error})", str(path)) from error
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    try:
        # And again: something else may stand there meanwhile.
        check_file(os.fstat(handle), path)
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_file(path: str | Path, limit: int | None = None, *, follow: bool = True) -> bytes:
    """All that a file holds.

    Args:
        path: of the file.
        limit: bytes that it may have; those of the machine's memory if left out.
        follow: whether it may be a link.

    Raises:
        OSError: if there is none, it is no plain file, or it has more bytes.
    """
    with open_file(path, follow=follow) as file:
        most = check_size(file, path, limit)
        content = file.read(most + 1 if limit is not None else -1)
    if len(content) > most:
        raise _too_large(path, most)
    return content


def check_size(file: BinaryIO, path: str | Path, limit: int | None = None) -> int:
    """Refuses a file larger than ``limit``, or than the machine's memory, before a byte of it is read.

    Returns:
        How many bytes it may have.

    Raises:
        OSError: if it has more.
    """
    most = min(bound for bound in (limit, machine_memory(), 2**62) if bound is not None)
    if os.fstat(file.fileno()).st_size > most:
        raise _too_large(path, most)
    return most


def check_file(status: os.stat_result, path: str | Path) -> None:
    """Refuses what is not a plain file.

    Raises:
        OSError: saying what it is.
    """
    for is_kind, number, message in _KINDS:
        if is_kind(status.st_mode):
            raise OSError(number, message, str(path))


def machine_memory() -> int | None:
    """Bytes of memory that the machine has in all; None where nobody says."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _too_large(path: str | Path, most: int) -> OSError:
    size = f"{most >> 20} MB" if most >= 2**20 else f"{most} bytes"
    return OSError(errno.EFBIG, f"has more than {size}", str(path))
