"""What a run says while it works: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import TracebackType
from typing import Protocol, TextIO, runtime_checkable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dagrow.errors import printable_lines
from dagrow.report.output import OutputError, echo, encodable


class Reporter(Protocol):
    """Where a run reports to."""

    def say(self, text: str) -> None:
        """One or more lines to keep."""

    def stage(self, text: str, total: int) -> None:
        """A piece of work of ``total`` units begins."""

    def advance(self) -> None:
        """One unit of it is done."""


@runtime_checkable
class LiveReporter(Protocol):
    """A reporter that also shows what changes all the time, such as the loss of the last epoch."""

    def show_metrics(self, text: str) -> None:
        """Takes the place of what was shown before."""


def show_metrics(reporter: Reporter, text: str) -> None:
    """Shows the metrics of the last epoch where a reporter has a place for them."""
    if isinstance(reporter, LiveReporter):
        reporter.show_metrics(text)


class Silent:
    """Reports nothing."""

    def say(self, text: str) -> None:
        """Drops the text."""

    def stage(self, text: str, total: int) -> None:
        """Ignores the stage."""

    def advance(self) -> None:
        """Ignores the unit."""


class PlainLines:
    """Prints what is to be kept, line by line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream, self.lost = stream, False

    def say(self, text: str) -> None:
        """Prints at once, so that a log can be followed. If that cannot be, a run goes on and is silent."""
        if self.lost:
            return
        try:
            echo(text, self.stream)
        except OutputError as error:
            self.lost = True
            with suppress(OutputError, OSError):
                echo(f"dagrow: {error}; the run goes on without a word, and its journal is complete", sys.stderr)

    def stage(self, text: str, total: int) -> None:
        """A plain log shows no stages."""

    def advance(self) -> None:
        """A plain log shows no units."""


class ProgressBar:
    """A bar below the lines, on a terminal: the stage, time spent and left, metrics. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}", markup=False),
        )
        self.progress = Progress(*columns, console=console, transient=True)
        self.task = self.progress.add_task("", total=None, metrics="")

    def __enter__(self) -> ProgressBar:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        """Prints above the bar."""
        self.progress.console.print(self._shown(text), markup=False, highlight=False, soft_wrap=True)

    def stage(self, text: str, total: int) -> None:
        """Starts the bar anew."""
        self.progress.reset(self.task, description=self._shown(text), total=total)

    def advance(self) -> None:
        """Moves the bar."""
        self.progress.advance(self.task)

    def show_metrics(self, text: str) -> None:
        """Shows them behind the bar."""
        self.progress.update(self.task, metrics=self._shown(text))

    def _shown(self, text: str) -> str:
        return encodable(printable_lines(text), self.progress.console.encoding)
