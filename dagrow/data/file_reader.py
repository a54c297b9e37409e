"""How the files that a network is asked about become raw values: as those of its training did."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

from dagrow.data.stored import Stored
from dagrow.errors import DataError, listed
from dagrow.layout import Shape


class Rows(NamedTuple):
    """Raw values.

    Attributes:
        inputs: ``[samples, *shape]`` per input of the graph, number format as stored.
        unknown: names of columns that training did not know, and that were not read.
        names: of the samples, where the source has any, such as files.
        notes: what a person should know of how they were read, in sentences.
    """

    inputs: tuple[Stored, ...]
    unknown: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """All that a person should know, in sentences."""
        unread = (f"not read, since training did not know them: {listed(self.unknown)}",) if self.unknown else ()
        return (*unread, *self.notes)


class FileReader(ABC):
    """Knows what the files of a source look like. A new kind is a class and a line in `FILE_READERS`."""

    kind: ClassVar[str]
    """Its name in ``preprocessing.json``."""
    endings: ClassVar[tuple[str, ...]]
    """Of names of files that it is for."""

    @abstractmethod
    def takes(self, path: str) -> bool:
        """Whether it is for such a file, by its name; arrays are read without it."""

    @abstractmethod
    def read(self, path: str, shapes: tuple[Shape, ...]) -> Rows:
        """The samples in a file.

        Args:
            path: of it.
            shapes: of one raw sample of each input.

        Raises:
            DataError: if it is of another form than the training data.
        """

    def read_frame(self, frame: Any) -> Rows:
        """The samples in a table that a user has in Python.

        Args:
            frame: of pandas, polars or pyarrow, or columns by their names.

        Raises:
            DataError: if it is of another form than the training data; where these are no tables, always.
        """
        raise DataError(f"the network reads {self.kind}, not a table")

    @property
    def told(self) -> str:
        """What the numbers of raw values mean, for who gives an export arrays; empty if that goes without saying."""
        return ""

    @abstractmethod
    def entry(self) -> dict[str, Any]:
        """As JSON takes it, without `kind`."""

    @classmethod
    @abstractmethod
    def from_entry(cls, entry: Mapping[str, Any], shapes: tuple[Shape, ...]) -> Self:
        """From what `entry` gave.

        Raises:
            KeyError, TypeError, ValueError: if it is not of that form.
        """
