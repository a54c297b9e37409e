"""Is what growth ends with as good as the same network trained from scratch, and better than random growth?

    python benchmarks/generalisation.py [digits wine breast_cancer] [--seeds 5] [--jobs 2]
    python benchmarks/generalisation.py fashion mnist cifar_conv --npz FOLDER [--set growth.KEY=VALUE] [--out DIR]

For each problem of `problems.py` growth by its defaults, beside the last graph trained from scratch and beside growth
by random neurons. Printed is the test accuracy of each, and how far the grown network is above it: mean over seeds with
its 95 % interval, seed by seed (the same split, the same first weights).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from problems import PROBLEMS, Sections
from scipy import stats

import dagrow
from dagrow.report import table

SMALL = ("digits", "wine", "breast_cancer")
SCRATCH = ("from scratch, equal epochs", "from scratch, equal multiply-adds")


def grown(name: str, base: Sections, seeds: int, changes: Sequence[str], out: Path, jobs: int) -> list[Any]:
    """Cells of growth as it is set, from scratch, and of growth by random neurons."""
    parts = {"tiny": SCRATCH, "random": ()}
    cells: list[Any] = []
    for method, controls in parts.items():
        spec = dagrow.CompareSpec.model_validate(
            {
                "name": name,
                "base": base,
                "methods": [method],
                "settings": {"as set": list(changes)} if changes else {},
                "controls": controls,
                "seeds": list(range(seeds)),
            }
        )
        cells += dagrow.compare(spec, out=out / method, jobs=jobs).cells
    return cells


def interval(values: Sequence[float]) -> str:
    """Mean and half of the 95 % interval."""
    x = np.array(values)
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
            own = rows(name, grown(name, base, args.seeds, args.set, out, args.jobs))
            print(*("  ".join(line) for line in own), sep="\n", flush=True)
            lines += own
    head = ("data", "run", "parameters", "epochs", "work G", "accuracy", "loss", "grown is above by", "loss lower by")
    print(table(head, lines))


if __name__ == "__main__":
    main()
