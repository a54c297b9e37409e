"""A table in the run directory, a row per unit of the run; needs no other package."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from dagrow.callbacks.callback import RunHandle
from dagrow.callbacks.events import Event, RunBegin
from dagrow.callbacks.loggers.base import Logger, Values
from dagrow.files import append_to, open_file, replace_file

Row = Mapping[str, str]

_FILE = "metrics.csv"
_SCORES = ("loss", "accuracy", "r2", "mae")
_COLUMNS = (
    "epoch", "step",
    "train/loss", *(f"{part}/{name}" for part in ("train_eval", "validation", "test") for name in _SCORES),
    "growth/gain", "growth/neurons", "growth/candidates", "network/parameters",
    "learning_rate", "seconds",
)  # fmt: skip


class CsvLogger(Logger):
    """Writes ``metrics.csv``: a column per number, a row per unit of training and growth step."""

    name: ClassVar[str] = "csv"

    def __init__(self) -> None:
        self._columns: tuple[str, ...] = ()
        self._path, self._size = Path(_FILE), 0

    def open(self, run: RunHandle, event: RunBegin) -> None:
        """A resumed run keeps the rows up to the point from which it goes on."""
        self._path = self._folder(run, _FILE)
        self._columns = (*_COLUMNS, *(f"metrics/{name}" for name in event.metrics), "note")
        kept = []
        if event.resumed and self._path.is_file():
            with open_file(self._path) as file:
                rows = csv.DictReader(io.StringIO(file.read().decode("utf-8")))
                kept = [row for row in rows if _place(row) <= (event.epoch, event.step)]
        header = dict(zip(self._columns, self._columns, strict=True))
        content = b"".join(map(self._line, [header, *kept]))
        replace_file(self._path, content)
        self._size = len(content)

    def log(self, values: Values, event: Event) -> None:
        """Adds a row."""
        self._add({name: f"{value:.9g}" for name, value in values.items()}, event)

    def note(self, text: str, event: Event) -> None:
        """Puts the sentence into a row of its own."""
        self._add({"note": text}, event)

    def close(self, failed: bool) -> None:
        """Nothing is left to do: every row was written at once."""

    def _add(self, row: Row, event: Event) -> None:
        line = self._line({"epoch": str(event.epoch), "step": str(event.step), **row})
        with append_to(self._path, self._size) as file:
            file.write(line)
        self._size += len(line)

    def _line(self, row: Row) -> bytes:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self._columns, restval="", extrasaction="ignore", lineterminator="\n").writerow(row)
        return text.getvalue().encode("utf-8")


def _place(row: Row) -> tuple[int, int]:
    """Epoch and growth step of a row; behind everything where it was not written to its end."""
    try:
        return int(row["epoch"]), int(row["step"])
    except (KeyError, TypeError, ValueError):
        return sys.maxsize, 0
