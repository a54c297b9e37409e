"""What a way out has to provide: one file each, one line in `dagrow.export.registry`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from dagrow.export.subject import ExportSubject

Runner = Callable[[Sequence[Tensor]], tuple[Tensor, ...]]
"""An exported network as it came back: the inputs in, all outputs out."""

DESTINATION = ""
"""The key in `Exporter.contents` of an export that is one file: the destination itself."""


@dataclass(frozen=True)
class Exported:
    """A network that was written, loaded back and found equal.

    Attributes:
        path: the destination, as given.
        files: every file written.
        max_difference: the largest difference found between the two networks' outputs, relative to
            the largest value of the output.
    """

    path: Path
    files: tuple[Path, ...]
    max_difference: float


class Exporter(ABC):
    """One form in which a network leaves dagrow. Knows nothing of destinations or of comparing."""

    name: ClassVar[str]
    directory: ClassVar[bool] = False
    """Whether the destination is a directory of files, or one file."""
    optional: ClassVar[frozenset[str]] = frozenset()
    """Files of a directory that some exports have; those of an earlier export do not stay beside a later one."""
    tolerance: ClassVar[float] = 1e-6
    """The largest relative difference in float32 that passes as equal."""

    def require(self) -> None:
        """Checks that what this form needs is installed.

        Raises:
            ExportError: with the command that installs it.
        """
        return

    @abstractmethod
    def contents(self, subject: ExportSubject) -> dict[str, bytes]:
        """The files to write, by their names below the destination.

        Args:
            subject: what is exported; the exporter may do with it what it likes.

        Raises:
            ExportError: if the network cannot take this form.
        """

    @abstractmethod
    def load(self, path: Path) -> Runner:
        """Reads an export back, by nothing but its files."""

    @abstractmethod
    def wrote(self, path: Path) -> bool:
        """Whether what is at ``path`` is an earlier export of this kind, which may be replaced."""
