"""What each setting of growth is worth: one changed at a time, beside growth as it is set by default.

    python benchmarks/factors.py [digits wine breast_cancer] [--only significance insert] [--seeds 5]
    python benchmarks/factors.py fashion --npz FOLDER --out DIR

For each problem of `problems.py` and each setting: test accuracy and loss, size, multiply-adds (training and growth
together), and how far accuracy is above and loss below those of the defaults: mean over seeds with its 95 % interval,
seed by seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from generalisation import COLUMNS, SMALL, interval
from problems import PROBLEMS

import dagrow
from dagrow.report import table

FACTORS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "shrinkage": {value: (f"growth.shrinkage={value}",) for value in ("0", "0.01", "0.1", "1", "10", "100")},
    "significance": {value: (f"growth.significance={value}",) for value in ("0", "0.3", "0.5", "1", "2")},
    "insert": {value: (f"growth.insert={value}",) for value in ("amplitude", "silent", "random_direction")},
    "held out": {value: (f"growth.held_out={value}",) for value in ("0", "0.1", "0.3", "0.5")},
    "neurons": {value: (f"growth.neurons={value}",) for value in ("2", "4", "16")},
    "samples": {value: (f"growth.samples={value}",) for value in ("500", "2000", "20000")},
    "method": {value: (f"growth.method={value}",) for value in ("nonlinear", "gradmax", "random")},
    "tryout": {"2 of them": ("growth.tryout={candidates: 2}",)},
    "warm-up": {f"{steps} steps": (f"growth.warm_up={steps}",) for steps in (20, 100)},
    "when": {
        "every 2 passes": ("training.epochs_between_growth=2",),
        "every 4 passes": ("training.epochs_between_growth=4",),
        "plateau": ("growth.schedule=plateau",),
    },
    "norm": {"batch": ("graph.nodes.h1.norm=batch",)},
    "validation": {"a tenth": ("training.validation=0.1",)},
}
"""Settings by what they are about; several changes go together where one alone makes no sense."""


def cells(name: str, seeds: int, folder: Path, changes: tuple[str, ...], out: Path) -> list[Any]:
    """How growth with some changes ended, seed by seed."""
    spec = dagrow.CompareSpec.model_validate(
        {
            "name": name,
            "base": PROBLEMS[name](folder),
            "settings": {"changed": list(changes)} if changes else {},
            "controls": [],
            "seeds": list(range(seeds)),
        }
    )
    return [cell.outcome for cell in dagrow.compare(spec, out=out).cells]


def line(found: list[Any], default: list[Any]) -> list[str]:
    """Means, and differences from the defaults."""
    mean = {key: np.mean([getattr(each, key) for each in found]) for key in COLUMNS}
    ahead = [one.accuracy - other.accuracy for one, other in zip(found, default, strict=True)]
    lower = [other.loss - one.loss for one, other in zip(found, default, strict=True)]
    size = [f"{mean['parameters']:.0f}", f"{mean['work'] / 1e9:.3g}"]
    return [*size, f"{mean['accuracy']:.4f}", f"{mean['loss']:.4f}", interval(ahead), interval(lower)]


def main() -> None:
    """A table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", help=f"of {', '.join(PROBLEMS)}; {', '.join(SMALL)} if left out")
    parser.add_argument("--only", nargs="+", default=list(FACTORS), metavar="FACTOR", help=", ".join(FACTORS))
    parser.add_argument("--npz", type=Path, default=Path(), help="folder of fashion_mnist.npz, mnist.npz, ...")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="keeps the comparisons, which go on there when stopped")
    args = parser.parse_args()
    head = ("factor", "value", "parameters", "work G", "accuracy", "loss", "accuracy above default", "loss below it")
    with TemporaryDirectory() as scratch:
        for name in args.problems or SMALL:
            out, folder = (args.out or Path(scratch)) / name, args.npz.resolve()
            default = cells(name, args.seeds, folder, (), out / "default")
            lines = [["default", "", *line(default, default)]]
            for factor in args.only:
                for value, changes in FACTORS[factor].items():
                    try:
                        found = cells(name, args.seeds, folder, changes, out / factor / value)
                    except dagrow.DagrowError as error:
                        print(f"{name}, {factor} {value}: {error}", flush=True)
                        continue
                    lines.append([factor, value, *line(found, default)])
                    print(name, *lines[-1], sep="  ", flush=True)
            print(f"\n{name}, {args.seeds} seeds\n{table(head, lines)}\n", flush=True)


if __name__ == "__main__":
    main()
