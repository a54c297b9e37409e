"""A graph grown from input -> output on the sine toy set, dagrow beside GroMo 0.1.0 (when installed), in turn.

    python benchmarks/dag_sine.py [--seeds 5] [--out dag_sine.png]

500 samples, x ~ N(0, I_50), y = argmax_k sin(k sum x), k = 1..10; ten growth steps at most; accuracy is on the
training samples (the set is there to be expressed, not to be generalised). dagrow considers new nodes, new
edges and wider nodes between all pairs, takes the best, and after each insertion the best updates of all
weights, each at its own amplitude: no gradient step. GroMo runs the recipe of its graph tutorial: ten neurons per
candidate, only what feeds the node with the largest bottleneck, five amplitudes, three epochs of SGD before each
step. The second table is with the same three epochs of SGD on both sides, dagrow by gain per parameter.
The metric is shrunk by 0.01, so that the weights stay fit for gradient steps.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import dagrow
from dagrow.report import table

STEPS = 10
SIZES = (510, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000)
LIMIT = 3_000
"""Parameters that dagrow may have, at most."""


class Point(NamedTuple):
    """One moment of a run."""

    parameters: int
    accuracy: float


class Run(NamedTuple):
    """How one network grew; seconds are those of growth, SGD left out."""

    points: list[Point]
    seconds: float


def sine_data(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The set of thesis 4.2.3."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(500, 50, generator=generator)
    return x, torch.sin(torch.arange(1, 11).float() * x.sum(1, keepdim=True)).argmax(1)


def sgd(model: nn.Module, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> None:
    """Three epochs, as in the tutorial."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model.train()
    for _ in range(3):
        for part in torch.randperm(len(x), generator=generator).split(50):
            optimizer.zero_grad()
            cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
    model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of right answers."""
    return float((model.eval()(x).argmax(1) == y).float().mean())


def dagrow_run(seed: int, neurons: int, where: str, train: bool) -> Run:
    """Grows until all samples are right, the steps are over, or nothing gains within the limit."""
    x, y = sine_data(seed)
    data, generator = [(x, y)], torch.Generator().manual_seed(seed)
    spec = {"inputs": {"x": {"shape": [50]}}, "nodes": {"y": {"size": 10}}, "edges": {"x -> y": "linear"}}
    model = dagrow.build(dagrow.GraphSpec.model_validate({**spec, "outputs": ["y"]}), seed=seed).eval()
    options = {"shrinkage": 0.01, "significance": 0.0}
    points, seconds = [Point(_size(model), accuracy(model, x, y))], 0.0
    for _ in range(STEPS):
        if train:
            sgd(model, x, y, generator)
            points.append(Point(_size(model), accuracy(model, x, y)))
        started = time.perf_counter()
        kinds = ("widen", "node", "edge")
        plan = dagrow.propose(
            model, cross_entropy, data, candidates=kinds, neurons=neurons, where=where, max_parameters=LIMIT, **options
        )
        if plan.best is None:
            break
        dagrow.apply(model, plan.best)
        for node in model.dag.order:
            update = dagrow.propose(model, cross_entropy, data, candidates=("update",), nodes=(node,), **options)
            if update.best is not None:
                dagrow.apply(model, update.best)
        seconds += time.perf_counter() - started
        points.append(Point(_size(model), accuracy(model, x, y)))
        if points[-1].accuracy == 1.0:
            break
    return Run(points, seconds)


def gromo_run(seed: int) -> Run:
    """GroMo's tutorial recipe, to its end."""
    from gromo.containers.growing_graph_network import GrowingGraphNetwork
    from gromo.utils.training_utils import evaluate_model

    loss = nn.CrossEntropyLoss()
    x, y = sine_data(seed)
    data, generator = [(x, y)], torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = GrowingGraphNetwork(50, 10, loss, neurons=10, neuron_epochs=100, neuron_lrate=1e-2, name="dag")
    points, seconds = [Point(net.dag.count_parameters_all(), accuracy(net, x, y))], 0.0
    for _ in range(STEPS):
        sgd(net, x, y, generator)
        started = time.perf_counter()
        actions = net.dag.define_next_actions()
        bottleneck, inputs = net.dag.calculate_bottleneck(actions, data, loss)
        worst = max(bottleneck, key=lambda v: bottleneck[v].norm())
        actions = net.restrict_action_space(actions, chosen_outputs=[worst])
        net.execute_expansions(actions, bottleneck, inputs, amplitude_factor=False, evaluate=False)
        for action in actions:
            mask, best = action.create_mask(), (math.inf, 0.0)
            for factor in (0.0, 0.05, 0.1, 0.5, 1.0):
                net.set_scaling_factor(factor)
                best = min(best, (evaluate_model(net, data, loss, use_extended_model=True, mask=mask)[0], factor))
            action.metrics["loss_val"], action.metrics["scaling_factor"] = best
        net.choose_growth_best_action(actions)
        net.set_scaling_factor(net.chosen_action.metrics["scaling_factor"])
        net.apply_change()
        seconds += time.perf_counter() - started
        points.append(Point(net.dag.count_parameters_all(), accuracy(net, x, y)))
    return Run(points, seconds)


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def within(runs: list[Run], parameters: int) -> float:
    """Mean over the seeds of the best accuracy with no more parameters."""
    best = [max((p.accuracy for p in run.points if p.parameters <= parameters), default=0.0) for run in runs]
    return statistics.mean(best)


def draw(fronts: dict[str, list[Run]], path: str) -> None:
    """Accuracy against parameters: every run, and the mean front of each side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), constrained_layout=True)
    for index, (name, runs) in enumerate(fronts.items()):
        for run in runs:
            axes.plot(
                [p.parameters for p in run.points], [p.accuracy for p in run.points], color=f"C{index}", alpha=0.2
            )
        sizes = sorted({p.parameters for run in runs for p in run.points})
        axes.step(sizes, [within(runs, s) for s in sizes], where="post", color=f"C{index}", linewidth=2, label=name)
    axes.set(xlabel="parameters", ylabel="training accuracy", title="Sine set, from input -> output")
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Runs both sides in turn, prints the tables, draws the fronts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", default="dag_sine.png")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sides: dict[str, Callable[[int], Run]] = {
        "dagrow": lambda seed: dagrow_run(seed, 4, "gain", train=False),
        "dagrow with SGD, gain per parameter": lambda seed: dagrow_run(seed, 4, "gain_per_parameter", train=True),
    }
    if importlib.util.find_spec("gromo") is None:
        print("gromo is not installed (pip install gromo==0.1.0): dagrow alone", file=sys.stderr)
    else:
        sides["GroMo with SGD"] = gromo_run
    for side in sides.values():
        # What is done once per process belongs to nobody.
        side(0)
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for seed in range(arguments.seeds):
        for name, side in sides.items():
            runs[name].append(side(seed))
    body = [
        [
            name,
            *(f"{run.points[-1].accuracy:.3f}" for run in found),
            str(max(run.points[-1].parameters for run in found)),
            f"{statistics.mean(run.seconds for run in found):.2f}",
        ]
        for name, found in runs.items()
    ]
    header = ("", *(f"seed {seed}" for seed in range(arguments.seeds)), "most parameters", "mean seconds")
    print(table(header, body))
    ours, theirs = runs["dagrow with SGD, gain per parameter"], runs.get("GroMo with SGD")
    if theirs is not None:
        seconds = {name: statistics.mean(run.seconds for run in found) for name, found in runs.items()}
        print(f"\nGroMo takes {seconds['GroMo with SGD'] / seconds['dagrow']:.1f} times as long as dagrow")
        sizes = sorted({p.parameters for run in itertools.chain(ours, theirs) for p in run.points})
        below = [size for size in sizes if within(ours, size) < within(theirs, size)]
        print(f"sizes at which the mean front of dagrow lies below GroMo's: {below or 'none'}")
        rows = [[str(s), f"{within(ours, s):.3f}", f"{within(theirs, s):.3f}"] for s in SIZES]
        print(table(("parameters", "dagrow", "GroMo"), rows))
    draw({name: runs[name] for name in runs if name != "dagrow"}, arguments.out)
    print(f"drawn to {arguments.out}")


if __name__ == "__main__":
    main()
