"""How a command ends: with its exit code and at most one sentence, whatever happens to its output or its patience."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from dagrow.errors import DagrowError
from dagrow.report.output import discard, echo


def run_command(command: Callable[[], object]) -> None:
    """Runs a command; a person's error ends with its message and exit code 2.

    Raises:
        SystemExit: unless all is well and the command says nothing of its end.
    """
    try:
        with _interrupts(), _warnings_in_one_line():
            _flushed(command)
    except DagrowError as error:
        _fail(str(error), error)
    except BrokenPipeError:
        # Nobody reads any more, as behind ``| head``: that is no error to tell.
        discard(sys.stdout)
        raise SystemExit(1) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}", error)


def _flushed(command: Callable[[], object]) -> None:
    """Runs it; what it printed is delivered before its end counts as one."""
    try:
        command()
    except SystemExit as end:
        if not end.code and sys.stdout is not None:  # None where the process was started without one
            sys.stdout.flush()
        raise


def _fail(message: str, error: BaseException) -> NoReturn:
    _discard_if_stuck()
    try:
        echo(f"dagrow: {message}", sys.stderr)
    except (DagrowError, OSError):
        discard(sys.stderr)
    raise SystemExit(2) from None


def _discard_if_stuck() -> None:
    """What standard output still holds, and cannot be written, is given up."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        discard(sys.stdout)


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """What will change in a later version is said in a sentence, as errors are, without the place in the code."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, FutureWarning):
                echo(f"dagrow: {message}", sys.stderr)
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        yield


@contextmanager
def _interrupts() -> Iterator[None]:
    """The first Ctrl-C is a `KeyboardInterrupt`, after which all is put in order; a second ends the process at once.

    What is on the disk is whole at any moment, so that nothing is lost by that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def second(*_: object) -> None:
        os._exit(130)

    def first(*_: object) -> None:
        signal.signal(signal.SIGINT, second)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        # After an interrupt it stays, for the end of the interpreter takes its time, too.
        if signal.getsignal(signal.SIGINT) is first:
            signal.signal(signal.SIGINT, before)
