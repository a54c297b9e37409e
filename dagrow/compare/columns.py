"""The columns of a comparison: what each is called, where it comes from and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dagrow.compare.outcome import Outcome
from dagrow.compare.summary import Spread, Summary


@dataclass(frozen=True)
class Column:
    """One measure of a finished cell.

    Attributes:
        name: in CSV files.
        heading: in tables for people; empty for what is in CSV files only.
        value: of a cell; None where it has none.
        form: of a number in tables for people.
        unit: by which numbers are divided there.
    """

    name: str
    heading: str
    value: Callable[[Outcome], float | None]
    form: str = ".0f"
    unit: float = 1.0

    def text(self, spread: Spread | None) -> str:
        """``mean ± deviation``, the latter where it is known and not 0."""
        if spread is None:
            return "-"
        mean = f"{spread.mean / self.unit:{self.form}}"
        return f"{mean} ± {spread.deviation / self.unit:{self.form}}" if spread.deviation else mean


ACCURACY = Column("test_accuracy", "test accuracy", lambda cell: cell.accuracy, ".4f")
LOSS = Column("test_loss", "test loss", lambda cell: cell.loss, ".4g")
PARAMETERS = Column("parameters", "parameters", lambda cell: cell.parameters)
SECONDS = Column("seconds", "", lambda cell: cell.seconds, ".1f")
COLUMNS = (
    ACCURACY,
    LOSS,
    Column("train_loss", "", lambda cell: cell.train_loss, ".4g"),
    PARAMETERS,
    Column("multiply_adds", "multiply-adds", lambda cell: cell.multiply_adds),
    Column("epochs", "epochs", lambda cell: cell.epochs),
    Column("training_work", "training G", lambda cell: cell.training_multiply_adds, ".3g", 1e9),
    Column("growth_work", "growth G", lambda cell: cell.growth_multiply_adds, ".3g", 1e9),
    Column("training_seconds", "training s", lambda cell: cell.training_seconds, ".1f"),
    Column("growth_seconds", "growth s", lambda cell: cell.growth_seconds, ".1f"),
    SECONDS,
    Column("insertions", "", lambda cell: len(cell.gains)),
)


def score(summaries: Sequence[Summary]) -> Column:
    """What tells good from bad: accuracy where there is one, else the loss."""
    return ACCURACY if all(summary.over_seeds(ACCURACY.value) for summary in summaries) else LOSS


def shown(summaries: Sequence[Summary]) -> tuple[Column, ...]:
    """Those for people: headed, and of accuracy and loss the one that tells more."""
    told = score(summaries)
    return (told, *(column for column in COLUMNS if column.heading and column not in (ACCURACY, LOSS)))
