"""The cells of a comparison: every row with every seed, in the order in which they are run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dagrow.compare.controls import FROM_SCRATCH, GROWN, controls, from_scratch
from dagrow.compare.load import varied
from dagrow.compare.outcome import Outcome
from dagrow.compare.spec import CompareSpec
from dagrow.spec import GraphSpec, RunSpec


@dataclass(frozen=True)
class ResultRow:
    """A line of the table.

    Attributes:
        label: what was asked for, or the control.
        of: for a control, the label of what it controls; empty otherwise.
    """

    label: str
    of: str = ""

    @property
    def folder(self) -> str:
        """Of its cells."""
        return "--".join(_plain(part) for part in (self.of, self.label) if part)

    def __str__(self) -> str:
        return f"{self.of}: {self.label}" if self.of else self.label


@dataclass(frozen=True)
class Cell:
    """One run of a row.

    Attributes:
        row: to which it belongs.
        run: what is run.
    """

    row: ResultRow
    run: RunSpec

    @property
    def folder(self) -> str:
        """Where its run directory is, inside the comparison's."""
        return f"{self.row.folder}/seed-{self.run.seed}"

    def __str__(self) -> str:
        return f"{self.row}, seed {self.run.seed}"


def rows(spec: CompareSpec) -> tuple[ResultRow, ...]:
    """All lines of the table: each variant, its controls below it."""
    found = []
    for variant in spec.variants():
        found.append(ResultRow(variant.label))
        found += [ResultRow(control, variant.label) for control in controls() if control in spec.controls]
    return tuple(found)


def grown_cells(spec: CompareSpec) -> Iterator[Cell]:
    """Cells that need no other: seed by seed, so that a comparison that is stopped has something of every row."""
    for seed in spec.seeds:
        for variant in spec.variants():
            run = varied(spec.base, (*variant.changes, f"seed={seed}"))
            yield Cell(ResultRow(variant.label), run)
            for control, changes in GROWN.items():
                if control in spec.controls:
                    yield Cell(ResultRow(control, variant.label), varied(run, changes))


def scratch_cells(spec: CompareSpec, cell: Cell, outcome: Outcome, graph: GraphSpec) -> Iterator[Cell]:
    """Cells that train what a variant ended with.

    Args:
        spec: of the comparison.
        cell: of the variant.
        outcome: how it ended.
        graph: its last one.
    """
    for control, epochs in FROM_SCRATCH.items():
        if control in spec.controls:
            yield Cell(ResultRow(control, cell.row.label), from_scratch(cell.run, outcome, graph, epochs))


def _plain(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-")
