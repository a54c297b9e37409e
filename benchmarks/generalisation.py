"""Is what growth ends with as good as the same network trained from scratch, and better than random growth?

    python benchmarks/generalisation.py [digits wine breast_cancer] [--seeds 5] [--jobs 2] [--set growth.KEY=VALUE]

For each data set the defaults of growth, from two hidden units to at most 2 000 parameters, beside the controls of
`dagrow compare`. Printed is the test accuracy of each, and how far the grown network is above it: mean over seeds with
its 95 % interval, seed by seed (the same split, the same first weights).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy import stats

import dagrow
from dagrow.report import table

DATA = {"digits": (64, 10), "wine": (13, 3), "breast_cancer": (30, 2)}
"""Features and classes."""


def comparison(name: str, seeds: int, changes: Sequence[str]) -> dagrow.CompareSpec:
    """Grown by default, and by random neurons; `dagrow compare` adds the controls."""
    features, classes = DATA[name]
    base: dict[str, Any] = {
        "graph": {
            "inputs": {"x": {"shape": [features]}},
            "nodes": {"h": {"size": 2, "activation": "selu"}, "y": {"size": classes}},
            "edges": {"x -> h": "linear", "h -> y": "linear"},
            "outputs": ["y"],
        },
        "data": {"dataset": name, "standardize": True},
        "training": {"optimizer": {"name": "adam", "lr": 0.003}, "batch_size": 64, "final_epochs": 40},
        "growth": {"budget": {"parameters": 2000, "steps": 15}},
    }
    settings = {"as set": list(changes)} if changes else {}
    return dagrow.CompareSpec.model_validate(
        {"name": name, "base": base, "methods": ["tiny", "random"], "settings": settings, "seeds": list(range(seeds))}
    )


def interval(values: Sequence[float]) -> str:
    """Mean and half of the 95 % interval."""
    x = np.array(values)
    half = stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5
    return f"{x.mean():+.4f} +- {half:.4f}"


def rows(found: dagrow.Comparison) -> list[list[str]]:
    """A line per row of the comparison."""
    cells: dict[str, dict[int, Any]] = {}
    for cell in found.cells:
        cells.setdefault(str(cell.row), {})[cell.seed] = cell.outcome
    first = next(iter(cells.values()))
    lines = []
    for title, own in cells.items():
        both = sorted(first.keys() & own.keys())
        ahead = [first[seed].accuracy - own[seed].accuracy for seed in both]
        lower = [own[seed].loss - first[seed].loss for seed in both]
        size, work = (np.mean([get(own[seed]) for seed in both]) for get in (_size, _work))
        accuracy = np.mean([own[seed].accuracy for seed in both])
        means = [f"{size:.0f}", f"{work:.3g}", f"{accuracy:.4f}"]
        lines.append([found.name, title, *means, interval(ahead), interval(lower)])
    return lines


def _size(outcome: Any) -> float:
    return float(outcome.parameters)


def _work(outcome: Any) -> float:
    return float(outcome.work) / 1e9


def main() -> None:
    """A table of all data sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", help=f"of {', '.join(DATA)}; all if left out")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="on top of the defaults")
    parser.add_argument("--out", type=Path, help="keeps the comparisons, which go on there when stopped")
    args = parser.parse_args()
    lines = []
    with TemporaryDirectory() as folder:
        for name in args.data or DATA:
            out = (args.out or Path(folder)) / name
            lines += rows(dagrow.compare(comparison(name, args.seeds, args.set), out=out, jobs=args.jobs))
            print(*("  ".join(line) for line in lines if line[0] == name), sep="\n", flush=True)
    head = ("data", "run", "parameters", "work G", "test accuracy", "grown is above it by", "its loss lower by")
    print(table(head, lines))


if __name__ == "__main__":
    main()
