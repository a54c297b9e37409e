"""What each setting of growth is worth: one changed at a time, beside growth as it is set by default.

    python benchmarks/factors.py [digits wine breast_cancer] [--only significance insert] [--seeds 5]
    python benchmarks/factors.py fashion --npz FOLDER --out DIR
    python benchmarks/factors.py fashion --npz FOLDER --analytic

For each problem of `problems.py` and each setting: test accuracy and loss, size, multiply-adds (training and growth
together), and how far accuracy is above and loss below those of the defaults: mean over seeds with its 95 % interval,
seed by seed. With `--analytic`, the shrinkage that Ledoit-Wolf and OAS find for the inputs, in the unit of ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from generalisation import COLUMNS, SMALL, interval
from problems import PROBLEMS
from sklearn.covariance import ledoit_wolf, oas

import dagrow
from dagrow.data import load_data
from dagrow.graph import Dag
from dagrow.objectives import LOSSES
from dagrow.report import table

FACTORS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "shrinkage": {value: (f"growth.shrinkage={value}",) for value in ("0", "0.01", "0.1", "1", "10", "100")},
    "significance": {value: (f"growth.significance={value}",) for value in ("0", "0.3", "0.5", "1", "2")},
    "keep_below_noise": {"false": ("growth.keep_below_noise=false",)},
    "fallback_method": {value: (f"growth.fallback_method={value}",) for value in ("none", "random")},
    "insert": {value: (f"growth.insert={value}",) for value in ("amplitude", "zero_fan_out_unscaled")},
    "weights": {"random, same norms": ("growth.random_weights=true",)},
    "held out": {value: (f"growth.held_out={value}",) for value in ("0", "0.1", "0.3", "0.5")},
    "neurons": {value: (f"growth.neurons={value}",) for value in ("2", "4", "16")},
    "samples": {value: (f"growth.samples={value}",) for value in ("500", "2000", "20000")},
    "method": {value: (f"growth.method={value}",) for value in ("nonlinear", "gradmax", "random")},
    "trial_training": {"2 of them": ("growth.trial_training={candidates: 2}",)},
    "warm-up": {f"{steps} steps": (f"growth.warm_up={steps}",) for steps in (20, 100)},
    "when": {
        "every 2 passes": ("training.epochs_between_growth=2",),
        "every 4 passes": ("training.epochs_between_growth=4",),
        "plateau": ("growth.schedule=plateau",),
        "no lower on validation samples": ("growth.schedule=validation", "training.validation_fraction=0.1"),
    },
    "norm": {"batch": ("graph.nodes.h1.norm=batch",)},
    "validation": {"a tenth": ("training.validation_fraction=0.1",)},
    "average": {"0.99": ("training.ema_decay=0.99",), "none": ("training.ema_decay=null",)},
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


def analytic(name: str, folder: Path) -> list[str]:
    """Shrinkage of the training inputs by formulas of samples and features, as a part of the mean square."""
    run = dagrow.RunSpec.model_validate(PROBLEMS[name](folder))
    x, _ = load_data(run.data, Dag.of(run.graph), LOSSES[run.training.loss], run.seed).train.xy()
    assert isinstance(x, torch.Tensor)
    features = x.flatten(1).double().numpy()
    # Theirs mixes the metric with the identity; ours adds the identity to it.
    shares = [formula(features, assume_centered=True)[1] for formula in (ledoit_wolf, oas)]
    return [name, f"{features.shape[0]} x {features.shape[1]}", *(f"{share / (1 - share):.2g}" for share in shares)]


def line(found: list[Any], default: list[Any]) -> list[str]:
    """Means, and differences from the defaults."""
    mean = {key: np.mean([getattr(each, key) for each in found]) for key in COLUMNS}
    ahead = [one.accuracy - other.accuracy for one, other in zip(found, default, strict=True)]
    lower = [other.loss - one.loss for one, other in zip(found, default, strict=True)]
    size = [f"{mean['parameters']:.0f}", f"{mean['work'] / 1e9:.3g}"]
    return [*size, f"{mean['accuracy']:.4f}", f"{mean['loss']:.4f}", interval(ahead), interval(lower)]


def options(about: str, problems: Sequence[str], changes: Iterable[str]) -> argparse.ArgumentParser:
    """Of a script that runs problems, by default some of them, with changes."""
    parser = argparse.ArgumentParser(description=about)
    known = f"of {', '.join(PROBLEMS)}; {', '.join(problems)} if left out"
    parser.add_argument("problems", nargs="*", default=list(problems), help=known)
    parser.add_argument("--only", nargs="+", default=list(changes), metavar="CHANGE", help=", ".join(changes))
    parser.add_argument("--npz", type=Path, default=Path(), help="folder of fashion_mnist.npz, mnist.npz, ...")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="keeps the comparisons, which go on there when stopped")
    return parser


def main() -> None:
    """A table for each problem."""
    parser = options(__doc__.splitlines()[0], SMALL, FACTORS)
    parser.add_argument("--analytic", action="store_true", help="formulas for the shrinkage, in place of runs")
    args = parser.parse_args()
    if args.analytic:
        found = [analytic(name, args.npz.resolve()) for name in args.problems]
        print(table(("data", "samples x inputs", "Ledoit-Wolf", "OAS"), found))
        return
    head = ("factor", "value", "parameters", "work G", "accuracy", "loss", "accuracy above default", "loss below it")
    with TemporaryDirectory() as scratch:
        for name in args.problems:
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
