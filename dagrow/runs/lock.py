"""One process at a time in a run directory: a lock that the system takes back when its process ends, however."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from dagrow.errors import RunError

LOCK = ".lock"
"""Name of the file in the run directory."""
_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        # Far behind the number of the process, which others are to read.
        os.lseek(handle, 2**20, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class DirectoryLock:
    """Holds a run directory for this process, as a context manager.

    The file ``.lock`` is there while it is held, and after a process was killed; only its lock counts.
    On file systems without locks nothing is held.

    Args:
        folder: the run directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.handle = folder, folder / LOCK, -1

    def __enter__(self) -> DirectoryLock:
        """Takes it.

        Raises:
            RunError: if another process has it, or the directory cannot be written.
        """
        while True:
            try:
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
                self.handle = os.open(self.path, flags, 0o644)
            except OSError as error:
                reason = error.strerror or error
                raise RunError(f"{self.folder} cannot be used as a run directory: {reason}") from error
            try:
                self._check()
                self._take()
            except BaseException:
                os.close(self.handle)
                raise
            if self._is_current():
                break
            # Its last holder took the file away between our two steps.
            os.close(self.handle)
        with suppress(OSError):
            os.truncate(self.handle, 0)
            os.write(self.handle, str(os.getpid()).encode())
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            if self._is_current():
                self.path.unlink()
        os.close(self.handle)

    def _check(self) -> None:
        """Refuses to write into what is no file, or a file that has another name elsewhere."""
        status = os.fstat(self.handle)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise RunError(f"{self.path} is a link, or no file; remove it")

    def _take(self) -> None:
        try:
            _lock(self.handle)
        except OSError as error:
            if error.errno in _BUSY:
                number = os.read(self.handle, 20).decode("ascii", "replace").strip()
                who = f"process {number}" if number.isdigit() else "another process"
                raise RunError(f"{self.folder} is in use by {who}; wait until it ends, or stop it") from error

    def _is_current(self) -> bool:
        """Whether the file that is locked is still the one with that name."""
        try:
            return os.path.samestat(os.fstat(self.handle), os.stat(self.path, follow_symlinks=False))
        except OSError:
            return False
