"""Where the entries of a spec were written: a file and its lines, or options of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dagrow.errors import Problem, SpecError
from dagrow.spec.document import Path

_LAST = 2**62


@dataclass(frozen=True)
class SourceFile:
    """Where a spec came from.

    Attributes:
        file: name of the file, as it was given.
        lines: path of each entry to its line, from 1.
        options: path of each entry that an override set to that override, ``key.path=value``.
    """

    file: str | None = None
    lines: Mapping[Path, int] = field(default_factory=dict)
    options: Mapping[Path, str] = field(default_factory=dict)

    def line(self, path: Path) -> int | None:
        """Line of the entry, or of the nearest entry that holds it; None for what an override set."""
        if self.option(path) is not None:
            return None
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def option(self, path: Path) -> str | None:
        """The override that set this entry, if one did."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.options:
                return self.options[path[:length]]
        return None

    def error(self, problems: Sequence[Problem]) -> SpecError:
        """One error for all these problems, each with its line or option, in the order of the file."""
        placed = sorted((self._placed(problem) for problem in problems), key=_position)
        only_options = all(problem.message.startswith("--set ") for problem in placed)
        return SpecError(placed, None if only_options else self.file)

    def _placed(self, problem: Problem) -> Problem:
        option = self.option(problem.path)
        if option is not None and problem.line is None:
            return Problem((), f"--set {option}: {problem.message}")
        line = self.line(problem.path) if problem.line is None and problem.path else problem.line
        return Problem(problem.path, problem.message, line)


def _position(problem: Problem) -> tuple[int, Path]:
    return (_LAST if problem.line is None else problem.line, problem.path)
