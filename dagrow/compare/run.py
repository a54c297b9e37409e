"""A comparison from its file to its tables. Finished cells are not run again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from dagrow.compare.directory import ComparisonDirectory
from dagrow.compare.executor import Jobs, run_cell
from dagrow.compare.load import load_comparison
from dagrow.compare.output_files import write_comparison
from dagrow.compare.result import Comparison
from dagrow.compare.runs import Cell, grown_cells, rows, scratch_cells
from dagrow.compare.spec import CompareSpec
from dagrow.compare.summary import Finished
from dagrow.errors import DagrowError, RunError
from dagrow.report import Reporter, Silent, show_metrics


def compare(
    comparison: CompareSpec | str | Path,
    *,
    out: str | Path | None = None,
    device: str = "cpu",
    jobs: int = 1,
    reporter: Reporter | None = None,
) -> Comparison:
    """Runs every variant and every control of a comparison with every seed, and writes what came out.

    Args:
        comparison: the spec, or the path of a comparison file.
        out: the comparison directory: new, empty, or one to go on with; ``comparisons/NAME`` if left out.
        device: where to train, as torch names it.
        jobs: so many cells are run at a time, each in a process of its own. Sums are then made by fewer threads: the
            last digits of a cell may be others.
        reporter: told what happens; silent if left out.

    Returns:
        All finished cells; it prints as a table.

    Raises:
        SpecError: if the file, or the run that it names, is not in order.
        RunError: if the directory cannot be used; or, once all else is done and written, if cells failed.
    """
    if jobs < 1:
        raise RunError(f"jobs must be at least 1, not {jobs}")
    spec = comparison if isinstance(comparison, CompareSpec) else load_comparison(comparison)
    directory = ComparisonDirectory.at(out if out is not None else Path("comparisons") / spec.name)
    bench = _Bench(spec, directory, device, reporter or Silent(), jobs)
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
    jobs: int = 1
    finished: list[Finished] = field(default_factory=list)
    failed: list[tuple[Cell, str]] = field(default_factory=list)
    seen: list[Cell] = field(default_factory=list)

    def run(self) -> None:
        """All cells; as soon as a variant has ended, what trains its graph from scratch."""
        todo = deque(grown_cells(self.spec))
        self.total = len(rows(self.spec)) * len(self.spec.seeds)
        if self.jobs > 1:
            self.reporter.stage(f"{self.jobs} cells at a time", self.total)
        with Jobs(self.directory, self.jobs, self.device).started() as running:
            while todo or running:
                while todo and running.free:
                    cell = todo.popleft()
                    self.seen.append(cell)
                    damage, done = self._found(cell)
                    if damage or done:
                        todo.extendleft(self._ended(cell, damage, note=", done before"))
                    elif self.jobs == 1:
                        todo.extendleft(self._ended(cell, self._here(cell)))
                    else:
                        running.start(cell)
                for cell, error in running.ended() if running else ():
                    todo.extendleft(self._ended(cell, error))
        order = {row: index for index, row in enumerate(rows(self.spec))}
        self.finished.sort(key=lambda cell: (self.spec.seeds.index(cell.seed), order[cell.row]))

    def _found(self, cell: Cell) -> tuple[str, bool]:
        """What is wrong with the run directory of a cell, and whether there is one of the run that is wanted."""
        try:
            return "", self.directory.outcome(cell) is not None
        except DagrowError as error:
            return str(error), False

    def _here(self, cell: Cell) -> str:
        """Runs a cell in this process; what went wrong, empty if nothing did."""
        try:
            run_cell(self.directory, cell, self.device, _Titled(self.reporter, f"{len(self.seen)}/{self.total} {cell}"))
        except DagrowError as error:
            return str(error)
        return ""

    def _ended(self, cell: Cell, error: str = "", note: str = "") -> list[Cell]:
        """Takes down how a cell ended; the cells that follow from it, last one first."""
        if self.jobs > 1:
            self.reporter.advance()
        if error:
            return self._failed(cell, error)
        try:
            outcome, graph = self.directory.outcome(cell), self.directory.graph(cell)
        except DagrowError as damage:
            return self._failed(cell, str(damage))
        if outcome is None:
            return self._failed(cell, f"{self.directory.cell(cell)} does not come back as it was written")
        self.finished.append(Finished(cell.row, cell.run.seed, outcome))
        self.reporter.say(f"{self._count}  {cell}: {outcome}{note}")
        grown = not cell.row.of
        return [*scratch_cells(self.spec, cell, outcome, graph)][::-1] if grown else []

    def _failed(self, cell: Cell, error: str) -> list[Cell]:
        self.failed.append((cell, error))
        self.reporter.say(f"{self._count}  {cell}: failed: {error}")
        return []

    @property
    def _count(self) -> str:
        return f"{len(self.finished) + len(self.failed)}/{self.total}"


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

    def show_metrics(self, text: str) -> None:
        """Those of the cell's last epoch."""
        show_metrics(self.reporter, text)
