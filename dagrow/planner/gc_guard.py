"""Python's search for objects that nobody reaches, put off to the end of a proposal."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Puts off the search within it.

    A proposal makes many small objects that live until its end, which sets off searches through all objects of the
    process, those of torch and its libraries: some tenths of a second each. They find next to nothing there: tensors
    go as their last reference does.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
