"""Nonparametric networks (Philipp & Carbonell, ICLR 2017): MNIST as in their section 4.2, poker hands as in Table 2.

MNIST: 10-10 units, lambda 3e-4, a unit more in each layer from time to time, then none; the paper ends with 193-36
units after 1000 and 1000 passes. Poker: is a hand worth anything? Five cards of 52, drawn here, one-hot; four hidden
layers from 10 units each, lambda 1e-3; the paper ends with 23-24-15-4 units and 0.62 % errors.

Protocols are shorter than the paper's: batches are smaller, so that a unit lives as many steps in fewer passes. The
printed settings say how much.

    python benchmarks/nonparametric.py mnist --npz mnist.npz
    python benchmarks/nonparametric.py poker
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dagrow
from dagrow.spec import RunSpec


def net(inputs: int, hidden: int, classes: int) -> dict[str, Any]:
    """Figure 1 of the paper: linear, CapNorm, ReLU, without biases."""
    names = [f"h{number + 1}" for number in range(hidden)]
    edge = {"op": "linear", "bias": False}
    return {
        "inputs": {"x": {"shape": [inputs]}},
        "nodes": {
            **{name: {"size": 10, "norm": "cap", "activation": "relu"} for name in names},
            "y": {"size": classes},
        },
        "edges": {f"{a} -> {b}": edge for a, b in zip(["x", *names], [*names, "y"], strict=True)},
        "outputs": ["y"],
    }


def run_spec(graph: dict[str, Any], npz: Path, samples: int, args: argparse.Namespace) -> RunSpec:
    """The run file: rates as AdaRad here wants them, per gradient of the mean loss."""
    share = args.batch / samples
    return RunSpec.model_validate(
        {
            "name": f"nonparametric-{args.task}",
            "graph": graph,
            "data": {"npz": str(npz)},
            "training": {
                "optimizer": {"name": "adarad", "lr": args.angular, "radial_lr": share / (args.life * args.strength)},
                "penalty": {"strength": args.strength},
                "batch_size": args.batch,
                "final_epochs": args.epochs,
            },
            "growth": {
                "units": {"every": args.every, "until": args.until},
                "budget": {"steps": 0, "parameters": 10**7},
            },
            "seed": args.seed,
        }
    )


def poker_hands(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hands of five different cards, one-hot per card (4 suits, 13 ranks), and whether each is worth a pair or more."""
    generator = np.random.default_rng(seed)
    cards = np.argpartition(generator.random((count, 52), dtype=np.float32), 5, axis=1)[:, :5]
    cards = generator.permuted(cards, axis=1)
    suits, ranks = cards // 13, cards % 13
    one_hot = np.concatenate([np.eye(4, dtype=np.float32)[suits], np.eye(13, dtype=np.float32)[ranks]], axis=2)
    ordered = np.sort(ranks, axis=1)
    pair = (np.diff(ordered, axis=1) == 0).any(axis=1)
    flush = (suits == suits[:, :1]).all(axis=1)
    row = (np.diff(ordered, axis=1) == 1).all(axis=1)
    # Rank 0 is the ace, which may also come after the king.
    high = (ordered == np.array([0, 9, 10, 11, 12])).all(axis=1)
    return one_hot.reshape(count, -1), (pair | flush | row | high).astype(np.int64)


def report(result: dagrow.GrowthResult, every: int, seconds: float) -> None:
    """A table of sizes, and the end."""
    print(f"{'pass':>5} {'units':>18} {'added':>6} {'removed':>8} {'loss':>8}")
    for event in (e for e in result.events if e["event"] == "epoch"):
        if event["epoch"] % every == 0:
            sizes = "-".join(str(size) for size in event["units"].values())
            added, removed = (sum(event[key].values()) for key in ("added", "removed"))
            print(f"{event['epoch']:5} {sizes:>18} {added:6} {removed:8} {event['running_loss']:8.4f}")
    sizes = "-".join(str(result.model.dag.size(node)) for node in result.model.dag.order[:-1])
    print(
        f"end: {sizes} units, test error {100 * (1 - (result.test.accuracy or 0)):.2f} %, "
        f"training error {100 * (1 - (result.train.accuracy or 0)):.2f} %, {seconds:.0f} s"
    )


def main() -> None:
    """One run, and its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("mnist", "poker"))
    parser.add_argument("--npz", type=Path, help="MNIST with x_train, y_train, x_test, y_test")
    parser.add_argument("--hands", type=int, default=200_000, help="poker hands to learn from")
    parser.add_argument("--strength", type=float, help="lambda; 3e-4 for mnist, 1e-3 for poker")
    parser.add_argument("--angular", type=float, default=0.2, help="lr: angular step per gradient of the mean loss")
    parser.add_argument("--life", type=float, default=10.0, help="passes until an idle unit of length 1 is gone")
    parser.add_argument("--every", type=float, default=0.2, help="passes from one new unit per layer to the next")
    parser.add_argument("--until", type=int, default=60, help="passes with new units")
    parser.add_argument("--epochs", type=int, default=90, help="passes in all")
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    mnist = args.task == "mnist"
    args.strength = args.strength or (3e-4 if mnist else 1e-3)
    if mnist and args.npz is None:
        parser.error("mnist needs --npz FILE")
    print({key: str(value) for key, value in vars(args).items()}, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        file, samples, graph = args.npz, 60_000, net(784, 2, 10)
        if not mnist:
            x, y = poker_hands(args.hands + 100_000, args.seed)
            file, samples, graph = Path(folder) / "poker.npz", args.hands, net(85, 4, 2)
            np.savez(
                file, x_train=x[: args.hands], y_train=y[: args.hands], x_test=x[args.hands :], y_test=y[args.hands :]
            )
        started = time.perf_counter()
        result = dagrow.grow(run_spec(graph, file, samples, args), write=False)
        report(result, max(1, args.epochs // 15), time.perf_counter() - started)


if __name__ == "__main__":
    main()
