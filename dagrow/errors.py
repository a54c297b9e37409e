"""The errors that a person can cause. Each message says what was found, where, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

MOST_PROBLEMS = 50
"""Of one kind that are told of one file; that there are more is said."""

MOST_NAMES = 60
"""Listed in one message; how many more there are is said."""

_LONGEST, _COMPARED = 200, 2_000
"""Letters of a name, and names, up to which a near one is looked for."""

_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""What torch says when there is none; on the CPU it has no class for it."""


class DagrowError(Exception):
    """Base of every error that a person can cause; the command line prints it without a traceback.

    Its text names things from files of others: control characters in them do not reach a terminal.
    """

    def __str__(self) -> str:
        return printable_lines(super().__str__())


class DataError(DagrowError):
    """The samples do not fit the graph or the loss: shape, label range, NaN, an empty set."""


class GrowthError(DagrowError):
    """A proposal or an insertion was asked for that this graph does not allow."""


class NumbersError(GrowthError):
    """Infinite or NaN values where a decision needs numbers: in samples, loss, gradients or their statistics."""


class OptimizerError(DagrowError):
    """An optimizer whose state cannot be carried through growth."""


class CaptureError(DagrowError):
    """A module cannot be captured, or what was captured is not what it computes."""


class ExportError(DagrowError):
    """A network could not be written in the wanted form, or did not come back equal."""


class RunError(DagrowError):
    """A run directory is missing, in use, incomplete or foreign."""


class CallbackError(DagrowError):
    """A callback of the user raised an exception; the state of the run was kept first."""


@dataclass(frozen=True)
class Problem:
    """One defect of a specification.

    Attributes:
        path: where it is, from the top of the file: ``("graph", "nodes", "h", "size")``.
        message: what was found, what is allowed.
        line: line in the file, from 1, or None when the specification did not come from a file.
    """

    path: tuple[str, ...]
    message: str
    line: int | None = None

    def render(self, file: str | None = None) -> str:
        """``file:line: path: message``, without the parts that are not known."""
        place = ":".join(str(part) for part in (file, self.line) if part is not None)
        where = " / ".join(self.path)
        return ": ".join(part for part in (place, where, self.message) if part)


class SpecError(DagrowError):
    """All problems found in one specification, shown together."""

    def __init__(self, problems: Sequence[Problem], file: str | None = None) -> None:
        self.problems = tuple(problems)
        self.file = file
        super().__init__("\n".join(problem.render(file) for problem in self.problems))


def printable(text: str) -> str:
    """The text with ``?`` for each that a terminal obeys or does not show: controls (C0, C1, bidi) or a break."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def printable_lines(text: str) -> str:
    """As `printable`, but line breaks and tabs stay."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """``" (did you mean 'relu'?)"`` when one of ``allowed`` is near to ``name``, else the empty string."""
    if len(name) > _LONGEST:
        return ""
    near = difflib.get_close_matches(name, sorted(islice(allowed, _COMPARED)), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def listed(names: Iterable[str]) -> str:
    """``a, b, c`` for messages that name what is allowed, in the order given."""
    every = list(names)
    more = [f"and {len(every) - MOST_NAMES} more"] if len(every) > MOST_NAMES else []
    return ", ".join([*every[:MOST_NAMES], *more])


def is_about_memory(error: BaseException) -> bool:
    """Whether it says that memory could not be had."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY)
