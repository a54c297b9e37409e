"""Nonparametric networks (Philipp & Carbonell, ICLR 2017): the sets of Figure 2, and poker hands as in Table 2.

MNIST: 10-10 units, lambda 3e-4, a unit more in each layer from time to time; the paper ends with 193-36 units. Poker:
is a hand worth anything? Five cards of 52, drawn here, one-hot, each feature standardized; four hidden layers from 10
units each; the paper ends with 23-24-15-4 units and 0.62 % errors at lambda 1e-3, on other features.

Convex regions and rectangles are drawn as their publishers describe them (`drawn_shapes.py`): 8 000 and 12 000 samples
to learn from, 10 000 to test on (the paper has 50 000 of each), lambda as given.

Shorter than the paper's: MNIST gets a unit per layer twice a pass, and the angular step is divided by 3 at the end,
lambda still on; poker goes through the phases of 7.4 (`training.anneal`). In the paper's terms lr is alpha_phi * batch
/ samples and radial_lr is batch / (samples * life * lambda), where the paper's life is 50 passes (poker: 5).

    python benchmarks/nonparametric.py mnist --npz mnist.npz
    python benchmarks/nonparametric.py poker
    python benchmarks/nonparametric.py convex --strength 1e-4      # or rectangles, rectangles_images: drawn
    python benchmarks/nonparametric.py mnist --npz mnist.npz --fixed 193-36
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawn_shapes
import numpy as np
import torch

import dagrow
from dagrow.report import PlainLines
from dagrow.spec import RunSpec


def net(inputs: int, hidden: list[int], classes: int) -> dict[str, Any]:
    """Figure 1 of the paper: linear, CapNorm, ReLU, without biases."""
    names = [f"h{number + 1}" for number in range(len(hidden))]
    edge = {"op": "linear", "bias": False}
    return {
        "inputs": {"x": {"shape": [inputs]}},
        "nodes": {
            **{
                name: {"size": size, "norm": "cap_batch", "activation": "relu"}
                for name, size in zip(names, hidden, strict=True)
            },
            "y": {"size": classes},
        },
        "edges": {f"{a} -> {b}": edge for a, b in zip(["x", *names], [*names, "y"], strict=True)},
        "outputs": ["y"],
    }


def run_spec(graph: dict[str, Any], npz: Path, samples: int, args: argparse.Namespace) -> RunSpec:
    """The run file: rates as AdaRad here wants them, per gradient of the mean loss."""
    share = args.batch / (samples * (1 - (0 if args.anneal else args.held_out)))
    growth: dict[str, Any] = {"budget": {"steps": 0, "parameters": 10**7}}
    training: dict[str, Any] = {
        "optimizer": {"name": "adarad", "lr": args.angular, "radial_lr": share / (args.life * args.strength)},
        "batch_size": args.batch,
        "final_epochs": args.epochs,
        "initial_weights": "unit_fan_ins" if args.start == "paper" else "torch",
    }
    if args.anneal:
        options = {"milestones": [args.epochs - (n + 1) * args.anneal for n in reversed(range(5))], "gamma": 1 / 3}
        training["scheduler"] = {"name": "multi_step", **options}
    else:
        training["anneal"] = {"held_out": args.held_out, "patience": args.patience, "late_patience": args.late_patience}
    if args.fixed is None:
        growth["continuous_growth"] = {"every": args.every, "until": args.until}
        training["penalty"] = {"strength": args.strength}
    data = {"npz": str(npz), "standardize": args.task == "poker"}
    spec = {"name": f"nonparametric-{args.task}", "graph": graph, "data": data, "training": training, "growth": growth}
    return RunSpec.model_validate({**spec, "seed": args.seed})


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


def digits(npz: Path) -> dict[str, np.ndarray]:
    """MNIST, pixels to mean 0 and deviation 1 over all of them together."""
    with np.load(npz) as file:
        arrays = {key: file[key] for key in ("x_train", "y_train", "x_test", "y_test")}
    mean, deviation = arrays["x_train"].mean(), arrays["x_train"].std()
    for key in ("x_train", "x_test"):
        arrays[key] = ((arrays[key] - mean) / deviation).astype(np.float32)
    return arrays


def poker(count: int, seed: int, test: int) -> dict[str, np.ndarray]:
    """Hands to learn from, and more to test on."""
    x, y = poker_hands(count + test, seed)
    return {"x_train": x[:count], "y_train": y[:count], "x_test": x[count:], "y_test": y[count:]}


def shapes(draw: Callable[[int, int], drawn_shapes.Sets], count: int, seed: int, test: int) -> dict[str, np.ndarray]:
    """A drawn set of Figure 2; as for MNIST, pixels to mean 0 and deviation 1 over all of them together."""
    x, y = draw(count + test, seed)
    x = ((x - x[:count].mean()) / x[:count].std()).astype(np.float32)
    return {"x_train": x[:count], "y_train": y[:count], "x_test": x[count:], "y_test": y[count:]}


def report(result: dagrow.GrowthResult, every: int, seconds: float) -> None:
    """A table of sizes, and the end."""
    print(f"{'pass':>5} {'units':>18} {'added':>6} {'removed':>8} {'loss':>8}")
    passes = 0
    for event in result.events:
        if event["event"] == "epoch":
            passes += 1
            if passes % every == 0 and "units" in event:
                sizes = "-".join(str(size) for size in event["units"].values())
                added, removed = (sum(event[key].values()) for key in ("added", "removed"))
                print(f"{event['epoch']:5} {sizes:>18} {added:6} {removed:8} {event['running_loss']:8.4f}")
    sizes = "-".join(str(result.model.dag.size(node)) for node in result.model.dag.order[:-1])
    print(
        f"end: {sizes} units, test error {100 * (1 - (result.test.accuracy or 0)):.2f} %, "
        f"training error {100 * (1 - (result.train.accuracy or 0)):.2f} %, {passes} passes, {seconds:.0f} s"
    )


DEFAULTS: dict[str, dict[str, Any]] = {
    "mnist": {
        "strength": 3e-4, "angular": 0.2, "life": 50.0, "every": 0.5, "until": 140, "epochs": 250, "batch": 1000,
        "anneal": 6,
    },
    "poker": {
        "strength": 1e-4, "angular": 0.5, "life": 10.0, "every": 0.2, "until": 25, "epochs": 130, "batch": 500,
        "anneal": 0, "samples": 200_000,
    },
    **{
        name: {
            "strength": 1e-4, "angular": 1.0, "life": 50.0, "every": 1.0, "until": 300, "epochs": 600, "batch": 500,
            "anneal": 0, "samples": count,
        }
        for name, count in (("rectangles", 12_000), ("rectangles_images", 12_000), ("convex", 8_000))
    },
}  # fmt: skip


def samples_of(args: argparse.Namespace) -> dict[str, np.ndarray]:
    """What the task learns from and is tested on."""
    if args.task == "mnist":
        return digits(args.npz)
    if args.task == "poker":
        return poker(args.samples, args.seed, args.test_samples or 100_000)
    return shapes(getattr(drawn_shapes, args.task), args.samples, args.seed, args.test_samples or 10_000)


def main() -> None:
    """One run, and its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tuple(DEFAULTS))
    parser.add_argument("--npz", type=Path, help="MNIST with x_train, y_train, x_test, y_test")
    parser.add_argument("--samples", type=int, help="drawn samples to learn from, held-out ones included")
    parser.add_argument("--test-samples", type=int, help="drawn samples to test on; 10 000 shapes, 100 000 hands")
    parser.add_argument("--start", choices=("torch", "paper"), default="torch", help="weights to start from")
    parser.add_argument("--strength", type=float, help="lambda")
    parser.add_argument("--angular", type=float, help="lr: angular step per gradient of the mean loss")
    parser.add_argument("--life", type=float, help="passes until an idle unit of length 1 is gone")
    parser.add_argument("--every", type=float, help="passes from one new unit per layer to the next")
    parser.add_argument("--until", type=int, help="passes with new units, at most")
    parser.add_argument("--epochs", type=int, help="passes in all, at most")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--anneal", type=int, help="5 times lr / 3 at the end, so many passes apart; 0: rewinding, 7.4")
    parser.add_argument("--held-out", type=float, default=0.1, help="share of the samples that rewinding goes by")
    parser.add_argument("--patience", type=int, default=10, help="passes without a better error that end a phase")
    parser.add_argument("--late-patience", type=int, default=2, help="the same, once steps become smaller")
    parser.add_argument("--fixed", help="sizes of a network that keeps them, without penalty, as 193-36")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for key, value in DEFAULTS[args.task].items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    if args.task == "mnist" and args.npz is None:
        parser.error("mnist needs --npz FILE")
    print({key: str(value) for key, value in vars(args).items()}, flush=True)
    layers = 4 if args.task == "poker" else 2
    hidden = [10] * layers if args.fixed is None else [int(size) for size in args.fixed.split("-")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        arrays = samples_of(args)
        np.savez(file, **arrays)
        samples, inputs = arrays["x_train"].shape
        graph = net(inputs, hidden, int(arrays["y_train"].max()) + 1)
        started = time.perf_counter()
        result = dagrow.grow(run_spec(graph, file, samples, args), write=False, reporter=PlainLines())
        report(result, max(1, args.epochs // 20), time.perf_counter() - started)


if __name__ == "__main__":
    main()
