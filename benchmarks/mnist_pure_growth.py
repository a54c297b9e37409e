"""MNIST grown without gradient descent: thesis 5.2.1, Fig. 5.2, Algorithm 9.

    python benchmarks/mnist_pure_growth.py --npz mnist.npz [--seeds 3] [--out mnist_pure_growth.png]

Two hidden layers of selu start with one unit each. In turn each takes the best TINY neurons (up to 10) at
their amplitude factor; after each insertion every layer takes its best update. Nothing else trains.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import dagrow
from dagrow.report import table

SPEC = Path(__file__).parents[1] / "specs" / "mnist_pure_growth.yaml"
MOST_UNITS = 50


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
            curve.append((event["train"]["accuracy"], event["test"]["accuracy"], nodes["h1"], nodes["h2"]))
            print(f"seed {seed}: {nodes['h1']}-{nodes['h2']} units, train {curve[-1][0]:.4f}, test {curve[-1][1]:.4f}")
        within = [point for point in curve if max(point[2:]) <= MOST_UNITS]
        best = within[-1]
        rows.append([str(seed), f"{best[2]}-{best[3]}", f"{best[0]:.4f}", f"{best[1]:.4f}", f"{seconds:.1f}"])
        curves.append(curve)
    train, test = (np.mean([float(row[i]) for row in rows]) for i in (2, 3))
    rows.append(["mean", "", f"{train:.4f}", f"{test:.4f}", ""])
    print(table(("seed", f"units (at most {MOST_UNITS})", "train", "test", "seconds"), rows))
    draw(curves, arguments.out)


def draw(curves: list[list[tuple[float, float, int, int]]], path: str) -> None:
    """Accuracy and units by growth step, all seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    for curve in curves:
        steps = range(1, len(curve) + 1)
        for axis, columns, names in ((left, (0, 1), ("train", "test")), (right, (2, 3), ("h1", "h2"))):
            for index, column in enumerate(columns):
                label = names[index] if curve is curves[0] else None
                axis.plot(steps, [point[column] for point in curve], color=f"C{index}", label=label)
    left.axhline(0.917, color="C0", linestyle=":", linewidth=1)
    left.axhline(0.904, color="C1", linestyle=":", linewidth=1)
    left.set(xlabel="growth step", ylabel="accuracy", title="accuracy (dotted: thesis 5.2.1)", ylim=(0.5, 1))
    right.set(xlabel="growth step", ylabel="units", title="units per layer")
    for axis in (left, right):
        axis.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
