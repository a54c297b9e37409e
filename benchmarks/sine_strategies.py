"""Where to grow: thesis Fig. 4.3 on the sine toy set, one neuron at a time, no gradient descent.

    python benchmarks/sine_strategies.py [--seeds 5] [--out sine_strategies.png]

500 samples, x ~ N(0, I_50), y = argmax_k sin(k sum x), k = 1..10; two hidden layers of selu that start with
one unit each. Every step inserts the first TINY neuron at the place a strategy chooses, at its amplitude
factor, then takes the best update of each layer, at its own (thesis Algorithm 3). All on all samples.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import dagrow
from dagrow.report import table

STRATEGIES = ("round_robin", "singular_value", "gain", "gain_per_parameter")
BUDGETS = (1_500, 2_500)
Curve = list[tuple[int, float, tuple[int, int]]]
"""Per step: parameters, accuracy, units of the two layers."""


def sine_data(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The set of thesis 4.2.3."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(500, 50, generator=generator)
    return x, torch.sin(torch.arange(1, 11) * x.sum(1, keepdim=True)).argmax(1)


def graph() -> dagrow.GraphSpec:
    """50-1-1-10."""
    return dagrow.GraphSpec.model_validate(
        {
            "inputs": {"x": {"shape": [50]}},
            "nodes": {
                "h1": {"size": 1, "activation": "selu"},
                "h2": {"size": 1, "activation": "selu"},
                "y": {"size": 10},
            },
            "edges": {"x -> h1": "linear", "h1 -> h2": "linear", "h2 -> y": "linear"},
            "outputs": ["y"],
        }
    )


def run(strategy: str, seed: int, limit: int) -> Curve:
    """Grows one network until it would pass the limit of parameters, or nothing gains any more."""
    x, y = sine_data(seed)
    data = [(x, y)]
    model = dagrow.build(graph(), seed=seed).eval()
    options = {"shrinkage": 0.0, "significance": 0.0}
    curve: Curve = []
    for turn in range(400):
        plan = dagrow.propose(
            model, cross_entropy, data, neurons=1, where=strategy, turn=turn, max_parameters=limit, **options
        )
        grown = plan.best is not None
        if plan.best is not None:
            dagrow.apply(model, plan.best)
        updated = False
        for node in ("h1", "h2", "y"):
            update = dagrow.propose(model, cross_entropy, data, candidates=("update",), nodes=(node,), **options)
            if update.best is not None:
                dagrow.apply(model, update.best)
                updated = True
        with torch.no_grad():
            accuracy = float((model(x).argmax(1) == y).float().mean())
        nodes = model.spec.nodes
        size = sum(parameter.numel() for parameter in model.parameters())
        curve.append((size, accuracy, (nodes["h1"].size or 0, nodes["h2"].size or 0)))
        if not grown and not updated:
            break
        if not grown and all(c.rejected == "over the budget" for c in plan.candidates):
            break
    return curve


def accuracy_within(curve: Curve, parameters: int) -> float:
    """The accuracy of the largest network that has no more parameters."""
    return max((accuracy for size, accuracy, _ in curve if size <= parameters), default=0.0)


def draw(curves: dict[str, list[Curve]], path: str) -> None:
    """Accuracy against parameters and steps, and units per layer: Fig. 4.3."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 4.5), constrained_layout=True)
    for index, (name, runs) in enumerate(curves.items()):
        grid = np.linspace(250, max(BUDGETS) + 400, 60)
        mean = np.mean([[accuracy_within(curve, int(p)) for p in grid] for curve in runs], axis=0)
        left.plot(grid, mean, color=f"C{index}", label=name.replace("_", " "))
        steps = min(len(curve) for curve in runs)
        middle.plot(
            range(1, steps + 1),
            np.mean([[a for _, a, _ in curve[:steps]] for curve in runs], axis=0),
            color=f"C{index}",
        )
        for layer, style in ((0, "-"), (1, "--")):
            units = np.mean([[u[layer] for _, _, u in curve[:steps]] for curve in runs], axis=0)
            right.plot(range(1, steps + 1), units, style, color=f"C{index}")
    left.set(xlabel="parameters", ylabel="accuracy", title="accuracy within a size")
    middle.set(xlabel="growth step", ylabel="accuracy", title="accuracy by step")
    right.set(xlabel="growth step", ylabel="units", title="first layer (solid), second layer (dashed)")
    left.legend(frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Runs all strategies and seeds, prints the table, draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", default="sine_strategies.png")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    curves: dict[str, list[Curve]] = {}
    body = []
    for strategy in STRATEGIES:
        started = time.perf_counter()
        curves[strategy] = [run(strategy, seed, max(BUDGETS) + 400) for seed in range(arguments.seeds)]
        seconds = (time.perf_counter() - started) / arguments.seeds
        means = [np.mean([accuracy_within(c, size) for c in curves[strategy]]) for size in BUDGETS]
        body.append([strategy, *(f"{mean:.3f}" for mean in means), f"{seconds:.1f}"])
        print("  ".join(body[-1]), flush=True)
    print(table(("where", *(f"accuracy at {size}" for size in BUDGETS), "seconds a run"), body))
    draw(curves, arguments.out)


if __name__ == "__main__":
    main()
