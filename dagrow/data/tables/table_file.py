"""What a file with a table offers: names of columns, and batches of rows as often as they are wanted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from dagrow.data.tables.arrow import arrow
from dagrow.errors import DataError
from dagrow.files import open_file
from dagrow.spec.table_source import MISSING

Cells = Mapping[str, Any]
"""A batch of rows: an arrow array per column, all equally long."""


@dataclass(frozen=True)
class TextOptions:
    """How a text file is to be read; None where that is to be found out.

    Attributes:
        separator: between cells.
        encoding: of the text.
        decimal: mark in numbers.
        missing: cells that stand for nothing.
    """

    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = MISSING


class TableFile(ABC):
    """A table in a file."""

    names: tuple[str, ...]
    """Of its columns, each once."""
    notes: tuple[str, ...] = ()
    """What was found out about the file, in sentences."""

    @abstractmethod
    def batches(self, columns: Collection[str]) -> Iterator[Cells]:
        """The rows in their order, some at a time.

        Args:
            columns: that are wanted; others are not read.

        Raises:
            DataError: if the file is damaged.
        """


Opener = Callable[[str, TextOptions], TableFile]


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A file, with what the disk and arrow refuse as a `DataError`."""
    pa = arrow()
    try:
        with open_file(path) as file:
            yield file
    except FileNotFoundError as error:
        raise DataError("no such file") from error
    except UnicodeError as error:
        raise DataError(f"not a text in this encoding ({error}); say 'encoding'") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowSerializationError) as error:
        raise DataError(f"not a table, or damaged ({str(error).splitlines()[0]:.200})") from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})") from error
    finally:
        # Arrow keeps what it had for a pass, and the samples need the room now.
        pa.default_memory_pool().release_unused()


def check_names(names: tuple[str, ...]) -> None:
    """Refuses a header that does not tell its columns apart.

    Raises:
        DataError: naming the column.
    """
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(f"column {number} has no name in the header (does it only count rows? drop it)")
        if name in seen:
            raise DataError(f"two columns are called '{name}'")
        seen.add(name)
