"""Fashion-MNIST from a graph of one node, grown with every kind of insertion, beside fixed MLPs of equal parameters.

    python benchmarks/fashion_dag.py --npz fashion_mnist.npz [--seeds 0 1 2] [--validation]

Grown: `specs/fashion_dag.yaml`. Fixed: about 20 000 parameters, as many epochs in all; the same optimizer and
schedule, at the learning rate of the grown network, at half and at twice that, since they may want another one. The
one to compare with has one hidden layer of the activation that new nodes have; the others say what more is possible.
With ``--validation`` the last 10 000 training images stand in for the test set: settings were chosen there.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import dagrow
from dagrow.report import table

SPEC = Path(__file__).parents[1] / "specs" / "fashion_dag.yaml"

FIXED = {
    f"784-{'-'.join(map(str, sizes))}-10 {activation}, {note}": (sizes, activation, factor)
    for sizes, activation in (((25,), "relu"), ((24, 24), "relu"), ((25,), "selu"))
    for factor, note in ((0.5, "half the lr"), (1.0, "same lr"), (2.0, "twice the lr"))
}
"""Sizes of the hidden layers, their activation, and by what the learning rate is multiplied."""


def fixed_graph(sizes: tuple[int, ...], activation: str) -> dagrow.GraphSpec:
    """A multilayer perceptron."""
    nodes: dict[str, dict[str, object]] = {f"h{i}": {"size": n, "activation": activation} for i, n in enumerate(sizes)}
    nodes["y"] = {"size": 10}
    names = ["x", *nodes]
    edges = {f"{a} -> {b}": "linear" for a, b in itertools.pairwise(names)}
    return dagrow.GraphSpec.model_validate(
        {"inputs": {"x": {"shape": [784]}}, "nodes": nodes, "edges": edges, "outputs": ["y"]}
    )


def validation_split(path: str, folder: str) -> str:
    """The training set alone, its last 10 000 images as the test set."""
    with np.load(path) as data:
        x, y = data["x_train"], data["y_train"]
    cut, split = len(x) - 10_000, str(Path(folder) / "validation.npz")
    np.savez(split, x_train=x[:cut], y_train=y[:cut], x_test=x[cut:], y_test=y[cut:])
    return split


def result_row(who: str, seed: int, run: dagrow.RunSpec) -> tuple[list[str], int]:
    """One run: a row of the table, and its epochs."""
    started = time.perf_counter()
    result = dagrow.grow(run, write=False)
    end, epochs = result.events[-1], sum(event["event"] == "epoch" for event in result.events)
    scores = [f"{value:.4f}" for value in (result.train.accuracy, result.test.accuracy, result.test.loss)]
    cost = [str(end["parameters"]), str(end["multiply_adds"])]
    row = [who, str(seed), *cost, str(epochs), *scores, f"{time.perf_counter() - started:.0f}"]
    print("  ".join(row), flush=True)
    return row, epochs


def main() -> None:
    """Runs the seeds and prints both sides."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--npz", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="change the spec")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        npz = validation_split(arguments.npz, folder) if arguments.validation else str(Path(arguments.npz).resolve())
        for seed in arguments.seeds:
            grown = dagrow.load_run(SPEC, [f"data.npz={npz}", f"seed={seed}", *arguments.set])
            row, epochs = result_row("grown", seed, grown)
            rows.append(row)
            training = grown.training.model_copy(update={"epochs_between_growth": 0, "final_epochs": epochs})
            growth = grown.growth.model_copy(update={"budget": grown.growth.budget.model_copy(update={"steps": 0})})
            for name, (sizes, activation, factor) in FIXED.items():
                optimizer = training.optimizer.model_copy(update={"lr": factor * training.optimizer.lr})
                own = training.model_copy(update={"optimizer": optimizer})
                graph = fixed_graph(sizes, activation)
                fixed = grown.model_copy(update={"graph": graph, "training": own, "growth": growth})
                rows.append(result_row(name, seed, fixed)[0])
    for who in ("grown", *FIXED):
        train, test, loss = (np.array([float(row[i]) for row in rows if row[0] == who]) for i in (5, 6, 7))
        means = [f"{train.mean():.4f}", f"{test.mean():.4f} +- {test.std():.4f}", f"{loss.mean():.4f}"]
        rows.append([who, "mean", "", "", "", *means, ""])
    head = ("", "seed", "parameters", "multiply-adds", "epochs", "train", "test", "test loss", "seconds")
    print(table(head, rows))


if __name__ == "__main__":
    main()
