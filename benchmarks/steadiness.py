"""What moves the end of a default run: its seed, the last bit of its inputs, the number of threads.

    python benchmarks/steadiness.py [NAME ...] [--runs 5]

Runs of the two graphs of `versus.py` on its drawn sets: some seeds; one seed, with inputs multiplied by 1 + 1e-7 u, u
normal and drawn anew for each run; and that seed on two threads. Printed are accuracy (R^2 for a regression) on the
test samples, mean and deviation of each; over all runs the largest ratio of an epoch's mean training loss to the least
before it; and by how much the test loss at the end is above that of the state that growth handed to the final training,
at most.
"""

from __future__ import annotations

import argparse
import warnings
from typing import NamedTuple

import numpy as np
import torch
from versus import Problem, graphs, predictor, problem, run_of

SETS = ("quantiles", "clusters", "moons", "rings", "friedman1", "hastie", "spirals", "sines")
LAST_BIT = 1e-7


class End(NamedTuple):
    """Of a run.

    Attributes:
        score: accuracy, or R^2.
        rise: the largest ratio of an epoch's training loss to the least before it.
        lost: test loss at the end beside that before the final training; below 1 where it became better.
    """

    score: float
    rise: float
    lost: float


def end(data: Problem, graph: str, seed: int, threads: int = 1) -> End:
    """Runs it."""
    torch.set_num_threads(threads)
    result = run_of(data, graph, seed)
    torch.set_num_threads(1)
    epochs = [event for event in result.events if event["event"] == "epoch" and not event.get("taken_back")]
    losses = [event["running_loss"] for event in epochs]
    best = np.minimum.accumulate(losses)
    handed = next((event["test"]["loss"] for event in result.events if event["event"] == "finish"), float("inf"))
    score = data.score(predictor(result.model.eval(), data.regression)(data.x_test))
    return End(score, float((np.array(losses[1:]) / best[:-1]).max()), result.test.loss / handed)


def noisy(data: Problem, draw: int) -> Problem:
    """The same in another last bit."""
    noise = 1 + LAST_BIT * np.random.default_rng(draw).normal(size=data.x.shape)
    return data._replace(x=(data.x * noise).astype(np.float32))


def main() -> None:
    """Prints a line for each set and graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(SETS))
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    rise, lost = 0.0, 0.0
    for name in given.names:
        data = problem(name, None)
        for label, graph in graphs(data.x.shape[1], data.outputs):
            seeds = [end(data, graph, seed) for seed in range(given.runs)]
            bits = [end(noisy(data, draw), graph, 0) for draw in range(given.runs)]
            two = end(data, graph, 0, threads=2)
            said = ", ".join(
                f"{what} {np.mean(scores):.4f} +- {np.std(scores):.4f}"
                for what, scores in (("seeds", [e.score for e in seeds]), ("last bits", [e.score for e in bits]))
            )
            print(f"{name} {label}: {said}; one thread {seeds[0].score:.4f}, two {two.score:.4f}", flush=True)
            rise = max(rise, *(one.rise for one in (*seeds, *bits)))
            lost = max(lost, *(one.lost for one in (*seeds, *bits)))
    print(f"training loss after an epoch beside the least before: {rise:.2f} at most")
    print(f"test loss at the end beside that before the final training: {lost:.2f} at most")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
