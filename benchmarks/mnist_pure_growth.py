"""MNIST grown without gradient descent: thesis 5.2.1, Fig. 5.2, Algorithm 9.

    python benchmarks/mnist_pure_growth.py --npz mnist.npz [--seeds 3] [--out mnist_pure_growth.png]

Two hidden layers of selu start with one unit each. In turn each takes the best TINY neurons (up to 10) at
their amplitude factor; after each insertion every layer takes its best update. Nothing else trains. The picture has
accuracy, units, and the share of the expressivity bottleneck that each insertion solves (the sum of the squared
singular values over E||v_proj||^2).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import dagrow
from dagrow.report import table

SPEC = Path(__file__).parents[1] / "specs" / "mnist_pure_growth.yaml"
MOST_UNITS = 50


class Point(NamedTuple):
    """The network after one insertion, and what share of the bottleneck that has solved."""

    train: float
    test: float
    h1: int
    h2: int
    place: str
    solved: float


def main() -> None:
    """Runs the seeds and prints accuracy by step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--npz", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="change the spec")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", default="mnist_pure_growth.png")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows, curves = [], []
    for seed in range(arguments.seeds):
        overrides = [f"data.npz={Path(arguments.npz).resolve()}", f"seed={seed}", *arguments.set]
        started = time.perf_counter()
        result = dagrow.grow(dagrow.load_run(SPEC, overrides), write=False)
        seconds = time.perf_counter() - started
        nodes = {"h1": 1, "h2": 1}
        curve = []
        for event in result.events:
            if event["event"] != "growth" or not event["inserted"]:
                continue
            nodes[event["inserted"]["place"]] += event["inserted"]["neurons"]
            made = event["inserted"]
            solved = sum(score**2 for score in made["scores"]) / made["bottleneck"]
            accuracies = event["train"]["accuracy"], event["test"]["accuracy"]
            curve.append(Point(*accuracies, nodes["h1"], nodes["h2"], made["place"], solved))
            units, (train, test) = f"{nodes['h1']}-{nodes['h2']}", accuracies
            print(
                f"seed {seed}: {units} units, train {train:.4f}, test {test:.4f}; solved of the bottleneck {solved:.3f}"
            )
        best = [point for point in curve if max(point.h1, point.h2) <= MOST_UNITS][-1]
        rows.append([str(seed), f"{best.h1}-{best.h2}", f"{best.train:.4f}", f"{best.test:.4f}", f"{seconds:.1f}"])
        curves.append(curve)
    train, test = (np.mean([float(row[i]) for row in rows]) for i in (2, 3))
    rows.append(["mean", "", f"{train:.4f}", f"{test:.4f}", ""])
    print(table(("seed", f"units (at most {MOST_UNITS})", "train", "test", "seconds"), rows))
    draw(curves, arguments.out)


def draw(curves: list[list[Point]], path: str) -> None:
    """Accuracy, units and shares of the bottleneck by growth step, all seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(14, 4), constrained_layout=True)
    for curve in curves:
        steps = range(1, len(curve) + 1)
        for axis, names in ((left, ("train", "test")), (middle, ("h1", "h2"))):
            for index, name in enumerate(names):
                label = name if curve is curves[0] else None
                axis.plot(steps, [getattr(point, name) for point in curve], color=f"C{index}", label=label)
        for index, name in enumerate(("h1", "h2")):
            own = [(step, point.solved) for step, point in zip(steps, curve, strict=True) if point.place == name]
            label = name if curve is curves[0] else None
            right.plot(*zip(*own, strict=True), "o-", color=f"C{index}", label=label)
    left.axhline(0.917, color="C0", linestyle=":", linewidth=1)
    left.axhline(0.904, color="C1", linestyle=":", linewidth=1)
    left.set(xlabel="growth step", ylabel="accuracy", title="accuracy (dotted: thesis 5.2.1)", ylim=(0.5, 1))
    middle.set(xlabel="growth step", ylabel="units", title="units per layer")
    right.set(xlabel="growth step", ylabel="share", title="of the bottleneck, solved by new units", ylim=(0, None))
    for axis in (left, middle, right):
        axis.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
