"""Text on its way to a person: nothing in it commands the terminal, and what cannot be delivered is an error."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO, cast

from dagrow.errors import DagrowError, printable_lines


class OutputError(DagrowError):
    """What is to be printed cannot be written: a full disk, a closed stream."""


def echo(text: object, stream: TextIO | None = None) -> None:
    """Prints lines at once.

    Args:
        text: or what prints as one. Control characters in it, as names from files of others may have, are shown as
            ``?``; what the stream has no characters for is escaped.
        stream: standard output, if left out.

    Raises:
        OutputError: if they cannot be written.
        BrokenPipeError: if nobody reads them any more.
    """
    # None where the process was started without one.
    stream = stream or cast("TextIO | None", sys.stdout)
    if stream is None:
        raise OutputError("what is to be printed cannot be written: standard output is closed")
    try:
        print(encodable(printable_lines(str(text)), stream.encoding), file=stream, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"what is to be printed cannot be written: {error.strerror or error}") from error


def encodable(text: str, encoding: str | None) -> str:
    """The text, with escapes for what an encoding lacks."""
    name = encoding or "utf-8"
    return text.encode(name, "backslashreplace").decode(name)


def discard(stream: TextIO | None) -> None:
    """Leads a stream that cannot be written to nowhere: its rest is not tried again at the end of the process."""
    if stream is None:
        return
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
