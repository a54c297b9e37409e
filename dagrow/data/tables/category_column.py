"""Words, or numbers that are names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from dagrow.data.tables.arrow import arrow, as_text
from dagrow.data.tables.column import Column, Encoding, Limits, Read, Tally, Unusable
from dagrow.data.tables.numeric import as_floats

OTHER = "other"
_NONE = -1.0
"""Code of an empty cell: that of no category."""
_MOST = 50_000
"""Values of a column that are counted; of more, those that come later are rare."""


@dataclass(frozen=True)
class CategoryColumn(Column):
    """A column of names.

    Attributes:
        categories: that are told apart; the code of each is its place, that of all others the number of them.
    """

    kind: ClassVar[str] = "category"

    categories: tuple[str, ...] = ()

    def read(self, cells: Any, row: int) -> Read:
        """The code of each."""
        pa, compute = arrow(), arrow("compute")
        text = as_text(cells)
        codes = as_floats(compute.index_in(text, value_set=pa.array(self.categories, pa.string())))
        unseen = np.isnan(codes) & ~np.asarray(text.is_null().to_numpy(zero_copy_only=False))
        if not unseen.any():
            return Read(codes)
        codes = np.where(unseen, float(len(self.categories)), codes)
        return Read(codes, str(text[int(unseen.argmax())].as_py()), int(unseen.sum()))

    def tally(self) -> Tally:
        """How often each is there."""
        return CategoryTally(self.name)

    def entry(self) -> dict[str, Any]:
        """The names."""
        return {"categories": list(self.categories)}

    @classmethod
    def from_entry(cls, name: str, entry: Mapping[str, Any]) -> CategoryColumn:
        """From what `entry` gave."""
        categories = entry["categories"]
        if not isinstance(categories, list) or not all(isinstance(each, str) for each in categories):
            raise TypeError("categories are a list of names")
        return cls(name, tuple(categories))


def counted(counts: Counter[str], text: Any) -> None:
    """Adds how often each value of a text array is there; new ones only while there are not too many."""
    for pair in arrow("compute").value_counts(text.drop_null()).to_pylist():
        if pair["values"] in counts or len(counts) < _MOST:
            counts[pair["values"]] += pair["counts"]


@dataclass
class CategoryTally(Tally):
    """Counts of the values of a column."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    missing: int = 0

    def add(self, cells: Any, rows: np.ndarray, first: int) -> None:
        """Takes in a batch."""
        text = as_text(cells).filter(arrow().array(rows))
        self.rows += len(text)
        self.missing += text.null_count
        counted(self.counts, text)

    def fitted(self, limits: Limits) -> tuple[Column, Encoding]:
        """A feature for each frequent category, and one for all others where training rows have any."""
        often = [(-count, value) for value, count in self.counts.items() if count >= limits.fewest]
        kept = tuple(sorted(value for _, value in sorted(often)[: limits.most]))
        present = self.rows - self.missing
        others = present - sum(self.counts[value] for value in kept)
        names = (*kept, *((OTHER,) if others else ()))
        if not present:
            raise Unusable("it is empty in all training rows")
        if len(names) == 1 and not self.missing:
            word = f"{names[0]!r:.40}" if kept else "another rare value"
            raise Unusable(f"it is {word} in {'all' if kept else 'each of the'} training rows")
        codes = tuple(map(float, range(len(names))))
        told = tuple(f"{self.name}={value}" for value in names)
        return CategoryColumn(self.name, kept), Encoding(_NONE, self.missing > 0, codes=codes, names=told)
