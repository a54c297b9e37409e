"""What differs between two moments of a module of one's own, as a table: ``~`` is another size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dagrow.report.table import table


@dataclass(frozen=True)
class SpaceSizes:
    """A module at some moment.

    Attributes:
        sizes: of its channel spaces.
        parameters: of the module.
        name: what to call it.
    """

    sizes: Mapping[str, int]
    parameters: int
    name: str


@dataclass(frozen=True)
class SpaceDiff:
    """Two moments side by side; false if all sizes are the same. Print it.

    Attributes:
        before: the first.
        after: the second.
    """

    before: SpaceSizes
    after: SpaceSizes

    def __bool__(self) -> bool:
        return dict(self.before.sizes) != dict(self.after.sizes)

    def __str__(self) -> str:
        old, new = self.before.sizes, self.after.sizes
        rows: list[tuple[str, ...]] = [
            ("-", f"space {name}", str(size), "", f"{-size:+d}") for name, size in old.items() if name not in new
        ]
        for name, size in new.items():
            if name not in old:
                rows.append(("+", f"space {name}", "", str(size), f"{size:+d}"))
            elif size != old[name]:
                rows.append(("~", f"space {name}", str(old[name]), str(size), f"{size - old[name]:+d}"))
        counts = self.before.parameters, self.after.parameters
        more = f"{counts[1] - counts[0]:+d}" if counts[0] != counts[1] else ""
        rows.append(("~" if more else "", "parameters", *map(str, counts), more))
        shown = table(("", "", "before", "after", ""), rows, left=4) if self else "the same sizes"
        return f"--- {self.before.name}\n+++ {self.after.name}\n{shown}"
