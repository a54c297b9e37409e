"""Silence for torch's exporters, which print, warn and log about themselves."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from dagrow.errors import ExportError


@contextmanager
def torch_exporter(what: str) -> Iterator[None]:
    """Runs one of torch's exporters without its chatter; its errors become one `ExportError`.

    Args:
        what: what is being done, for the message: ``"write pt2"``.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except (ExportError, OSError):
        raise
    # The exporters have no common base for their errors, and any layer of a user may stand in the way.
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExportError(f"torch cannot {what} this network: {reason}") from error
    finally:
        logging.disable(disabled)
