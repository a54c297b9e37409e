"""A comparison from its file to its tables. Finished cells are not run again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dagrow.compare.cells import Cell, grown_cells, rows, scratch_cells
from dagrow.compare.controls import FROM_SCRATCH
from dagrow.compare.directory import ComparisonDirectory
from dagrow.compare.load import load_comparison
from dagrow.compare.outcome import Outcome
from dagrow.compare.result import Comparison
from dagrow.compare.spec import CompareSpec
from dagrow.compare.summary import Finished
from dagrow.compare.written import write_comparison
from dagrow.errors import DagrowError, RunError
from dagrow.report import Reporter, Silent
from dagrow.training import grow


def compare(
    comparison: CompareSpec | str | Path,
    *,
    out: str | Path | None = None,
    device: str = "cpu",
    reporter: Reporter | None = None,
) -> Comparison:
    """Runs every variant and every control of a comparison with every seed, and writes what came out.

    Args:
        comparison: the spec, or the path of a comparison file.
        out: the comparison directory: new, empty, or one to go on with; ``comparisons/NAME`` if left out.
        device: where to train, as torch names it.
        reporter: told what happens; silent if left out.

    Returns:
        All finished cells; it prints as a table.

    Raises:
        SpecError: if the file, or the run that it names, is not in order.
        RunError: if the directory cannot be used; or, once all else is done and written, if cells failed.
    """
    spec = comparison if isinstance(comparison, CompareSpec) else load_comparison(comparison)
    directory = ComparisonDirectory.at(out if out is not None else Path("comparisons") / spec.name)
    bench = _Bench(spec, directory, device, reporter or Silent())
    with directory.locked():
        bench.run()
        result = Comparison(spec.name, rows(spec), tuple(bench.finished), directory.path)
        write_comparison(result, bench.reporter)
    if strangers := directory.strangers({cell.folder for cell in bench.seen}):
        bench.reporter.say(f"left as they are, not in the file any more: {', '.join(strangers)}")
    if bench.failed:
        cell, error = bench.failed[0]
        count = f"{len(bench.failed)} of {len(bench.seen)} cells failed, the others are in the tables"
        raise RunError(f"{count}; the first, {cell}: {error}")
    return result


@dataclass
class _Bench:
    """A comparison in progress."""

    spec: CompareSpec
    directory: ComparisonDirectory
    device: str
    reporter: Reporter
    finished: list[Finished] = field(default_factory=list)
    failed: list[tuple[Cell, DagrowError]] = field(default_factory=list)
    seen: list[Cell] = field(default_factory=list)

    def run(self) -> None:
        """Cell by cell."""
        grown = list(grown_cells(self.spec))
        self.total = len(grown) + len(FROM_SCRATCH) * sum(not cell.row.of for cell in grown)
        for cell in grown:
            outcome = self._outcome(cell)
            if outcome is not None and not cell.row.of:
                for scratch in scratch_cells(cell, outcome, self.directory.graph(cell)):
                    self._outcome(scratch)

    def _outcome(self, cell: Cell) -> Outcome | None:
        """Of a cell that is finished already, or is run now; None if that fails."""
        self.seen.append(cell)
        count = f"{len(self.seen)}/{self.total}"
        outcome, note = self.directory.outcome(cell), ", done before"
        if outcome is None:
            try:
                outcome, note = self._run(cell, f"{count} {cell}"), ""
            except DagrowError as error:
                self.failed.append((cell, error))
                self.reporter.say(f"{count}  {cell}: failed: {error}")
                return None
        self.finished.append(Finished(cell.row, cell.run.seed, outcome))
        self.reporter.say(f"{count}  {cell}: {outcome}{note}")
        return outcome

    def _run(self, cell: Cell, title: str) -> Outcome:
        with self.directory.writing(cell) as folder:
            grow(cell.run, out=folder, device=self.device, reporter=_Titled(self.reporter, title))
        outcome = self.directory.outcome(cell)
        if outcome is None:
            raise RunError(f"{self.directory.cell(cell)} does not come back as it was written")
        return outcome


class _Titled:
    """Stages of a run under the title of its cell; its own lines are left to its journal."""

    def __init__(self, reporter: Reporter, title: str) -> None:
        self.reporter, self.title = reporter, title

    def say(self, text: str) -> None:
        """Drops the text."""

    def stage(self, text: str, total: int) -> None:
        """A stage of the cell."""
        self.reporter.stage(f"{self.title}: {text}", total)

    def advance(self) -> None:
        """Moves the bar."""
        self.reporter.advance()
