"""Is what growth ends with as good as the same network trained from scratch, and better than random growth?

    python benchmarks/generalisation.py [digits wine breast_cancer] [--seeds 5] [--jobs 2]
    python benchmarks/generalisation.py fashion mnist cifar_conv --npz FOLDER [--set growth.KEY=VALUE] [--out DIR]
    python benchmarks/generalisation.py cifar_dag --npz FOLDER

For each problem of `problems.py` growth by its defaults, beside the last graph trained from scratch and beside growth
by random neurons; of a whole graph that grows, beside its last graph from scratch, growth at random places and a
fixed net. Printed is the test accuracy of each, and how far the grown network is above it: mean over seeds with its
95 % interval, seed by seed (the same split, the same first weights).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from problems import PROBLEMS, Sections, cifar_fixed
from scipy import stats

import dagrow
from dagrow.report import table

SMALL = ("digits", "wine", "breast_cancer")
SCRATCH = ("from scratch, equal epochs", "from scratch, equal multiply-adds")
GRAPHS = ("cifar_dag",)
"""Problems of which the whole graph grows: where it does so is what is to be compared."""


class Runs(NamedTuple):
    """Where comparisons are kept and how they are run."""

    out: Path
    seeds: int
    jobs: int

    def cells(self, name: str, base: Sections, **parts: Any) -> list[Any]:
        """Of one comparison."""
        spec = dagrow.CompareSpec.model_validate(
            {"name": name, "base": base, "seeds": list(range(self.seeds)), "controls": [], **parts}
        )
        return list(dagrow.compare(spec, out=self.out / name, jobs=self.jobs).cells)


def grown(base: Sections, runs: Runs, changes: Sequence[str]) -> list[Any]:
    """Cells of growth as it is set, from scratch, and of growth by random neurons."""
    settings = {"settings": {"as set": list(changes)} if changes else {}}
    cells = runs.cells("tiny", base, methods=["tiny"], controls=SCRATCH, **settings)
    return cells + runs.cells("random", base, methods=["random"], **settings)


def grown_graph(base: Sections, runs: Runs, changes: Sequence[str], folder: Path) -> list[Any]:
    """Cells of growth as it is set, from scratch, at random places, and of a fixed net for as many passes."""
    settings = {"settings": {"as set": list(changes)} if changes else {}}
    cells = runs.cells("tiny", base, methods=["tiny"], controls=[SCRATCH[0], "random placement"], **settings)
    passes = round(np.mean([cell.outcome.epochs for cell in cells if not cell.row.of]))
    fixed = runs.cells("fixed", cifar_fixed(folder, passes), settings={"fixed convolutions": []})
    return cells + fixed


def interval(values: Sequence[float]) -> str:
    """Mean and half of the 95 % interval."""
    x = np.array(values)
    if len(x) < 2:
        return f"{x.mean():+.4f}"
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5
    return f"{x.mean():+.4f} +- {half:.4f}"


def rows(name: str, found: Sequence[Any]) -> list[list[str]]:
    """A line per row of the comparison."""
    cells: dict[str, dict[int, Any]] = {}
    for cell in found:
        cells.setdefault(str(cell.row), {})[cell.seed] = cell.outcome
    first = next(iter(cells.values()))
    lines = []
    for title, own in cells.items():
        both = sorted(first.keys() & own.keys())
        mean = {key: np.mean([getattr(own[seed], key) for seed in both]) for key in COLUMNS}
        ahead = [first[seed].accuracy - own[seed].accuracy for seed in both]
        lower = [own[seed].loss - first[seed].loss for seed in both]
        means = [f"{mean['parameters']:.0f}", f"{mean['epochs']:.0f}", f"{mean['work'] / 1e9:.3g}"]
        scores = [f"{mean['accuracy']:.4f}", f"{mean['loss']:.4f}"]
        lines.append([name, title, *means, *scores, interval(ahead), interval(lower)])
    return lines


COLUMNS = ("parameters", "epochs", "work", "accuracy", "loss")


def main() -> None:
    """A table of all problems."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", help=f"of {', '.join(PROBLEMS)}; {', '.join(SMALL)} if left out")
    parser.add_argument("--npz", type=Path, default=Path(), help="folder of fashion_mnist.npz, mnist.npz, ...")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="on top of the defaults")
    parser.add_argument("--out", type=Path, help="keeps the comparisons, which go on there when stopped")
    args = parser.parse_args()
    lines = []
    with TemporaryDirectory() as folder:
        for name in args.problems or SMALL:
            out = (args.out or Path(folder)) / name
            base = PROBLEMS[name](args.npz.resolve())
            runs = Runs(out, args.seeds, args.jobs)
            graph = name in GRAPHS
            found = grown_graph(base, runs, args.set, args.npz.resolve()) if graph else grown(base, runs, args.set)
            own = rows(name, found)
            print(*("  ".join(line) for line in own), sep="\n", flush=True)
            lines += own
    head = ("data", "run", "parameters", "epochs", "work G", "accuracy", "loss", "grown is above by", "loss lower by")
    print(table(head, lines))


if __name__ == "__main__":
    main()
