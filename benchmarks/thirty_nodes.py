"""What a growth step costs on a graph of many nodes when every pair of them is proposed.

    python benchmarks/thirty_nodes.py [mlp] [conv] [--samples 20000] [--threads 1 2] [--profile]

``mlp``: a random DAG of 30 hidden nodes, 24 to 40 features each, behind 64 inputs; ten classes. ``conv``: 8 nodes of
maps. One step (propose and apply: widen, edge, node, layer, with every default) against one forward and backward pass
over the same batches, for a network as it is built, and after an epoch of Adam. Samples: those that a run would take
(`samples: auto`), if not given.
"""

from __future__ import annotations

import argparse
import copy
import cProfile
import importlib
import pstats
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import cross_entropy

import dagrow
from dagrow.build import Network
from dagrow.report import table
from dagrow.training.sample_sizes import batch_that_fits, samples_needed

Batches = list[tuple[torch.Tensor, torch.Tensor]]

KINDS = ("widen", "edge", "node", "layer")


def random_dag(nodes: int, seed: int) -> dict[str, Any]:
    """Each node reads the one before it and now and then an earlier one."""
    draw = random.Random(seed)
    names = [f"n{i:02d}" for i in range(nodes)]
    declared: dict[str, Any] = {
        name: {"size": draw.randint(24, 40), "activation": draw.choice(["relu", "selu"])} for name in names
    }
    edges: dict[str, Any] = {}
    for i, name in enumerate(names):
        earlier = ["x", *names[:i]]
        parents = {earlier[-1], *(draw.choice(earlier) for _ in range(draw.randint(0, 2)))}
        edges.update({f"{parent} -> {name}": "linear" for parent in sorted(parents)})
    edges[f"{names[-1]} -> y"] = "linear"
    return {
        "inputs": {"x": {"shape": [64]}},
        "nodes": {**declared, "y": {"size": 10}},
        "edges": edges,
        "outputs": ["y"],
    }


def conv_dag(nodes: int, seed: int) -> dict[str, Any]:
    """The same with 3 x 3 convolutions on maps of 8 x 8 and a global average before the output."""
    graph = random_dag(nodes, seed)
    names = [name for name in graph["nodes"] if name != "y"]
    for name in names:
        graph["nodes"][name]["size"] = 8
    graph["nodes"][names[-1]]["pool"] = "global_average"
    graph["nodes"][names[-1]]["flatten"] = True
    graph["inputs"] = {"x": {"shape": [3, 8, 8]}}
    conv = {"op": "conv2d", "kernel": 3, "padding": "same"}
    graph["edges"] = {edge: op if edge.endswith("-> y") else conv for edge, op in graph["edges"].items()}
    return graph


def teacher_data(shape: list[int], samples: int, batch: int) -> Batches:
    """Classes of a random network, which a larger student can learn."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(samples, *shape, generator=generator)
    width = x[0].numel()
    first = torch.randn(width, 64, generator=generator) / width**0.5
    second = torch.randn(64, 10, generator=generator)
    y = ((2 * x.flatten(1) @ first).sin() @ second).argmax(1)
    return list(zip(x.split(batch), y.split(batch), strict=True))


def forward_and_backward(model: Network, data: Batches) -> float:
    """Seconds of one plain pass over the data."""
    started = time.perf_counter()
    for x, y in data:
        model.zero_grad()
        cross_entropy(model(x), y).backward()
    return time.perf_counter() - started


@contextmanager
def clocks(seconds: dict[str, float]) -> Iterator[None]:
    """Within it, the stages of a proposal add up their time."""
    # The functions of these names hide the modules.
    propose, measure = (importlib.import_module(f"dagrow.planner.{name}") for name in ("propose", "measure"))
    tiny = importlib.import_module("dagrow.methods.tiny")
    stages: list[tuple[str, Any, str]] = [
        ("places", propose, "find_places"),
        ("bounds", propose, "shortlist"),
        ("statistics", propose, "collect"),
        ("measuring", propose, "measure"),
        ("orient", measure.Evaluator, "orient"),
        ("first look and line searches", measure.Evaluator, "search"),
        ("gains", measure.Evaluator, "measure"),
        ("drafts", propose, "make_drafts"),
        ("nonlinear", tiny, "nonlinear"),
    ]
    kept = [(owner, name, getattr(owner, name)) for _, owner, name in stages]
    for stage, owner, name in stages:
        setattr(owner, name, _timed(getattr(owner, name), stage, seconds))
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def _timed(function: Callable[..., Any], stage: str, seconds: dict[str, float]) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - started

    return run


def trained(model: Network, data: Batches) -> Network:
    """The model after one epoch of Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for x, y in data:
        for part, target in zip(x.split(128), y.split(128), strict=True):
            optimizer.zero_grad()
            cross_entropy(model(part), target).backward()
            optimizer.step()
    return model


def step(model: Network, data: Batches) -> tuple[float, float, dagrow.Plan]:
    """Seconds of one proposal and of one insertion into a copy, and the plan."""
    model = copy.deepcopy(model)
    started = time.perf_counter()
    plan = dagrow.propose(model, cross_entropy, data, candidates=KINDS, neurons=8)
    proposed = time.perf_counter()
    if plan.best is not None:
        dagrow.apply(model, plan.best)
    return proposed - started, time.perf_counter() - proposed, plan


def run(name: str, model: Network, data: Batches, repeats: int) -> None:
    """Measures one work item and prints ratio and stages."""
    step(model, data)
    plain, times, ratios, stages = [], [], [], []
    for _ in range(repeats):
        seconds: dict[str, float] = {}
        # Machines are shared: what is compared must be of the same second.
        before = forward_and_backward(model, data)
        with clocks(seconds):
            proposing, applying, plan = step(model, data)
        plain.append((before + forward_and_backward(model, data)) / 2)
        times.append(proposing + applying)
        ratios.append(times[-1] / plain[-1])
        stages.append({**seconds, "apply": applying})
    floor, whole, ratio = (statistics.median(each) for each in (plain, times, ratios))
    samples, best = sum(len(x) for x, _ in data), plan.best
    print(f"\n{name}: {samples} samples in {len(data)} batches, threads: {torch.get_num_threads()}, {plan.stages}")
    print(
        f"best: {'none' if best is None else f'{best.kind} {best.place}, gain {best.gain:.4g}'}; loss {plan.loss:.4g}"
    )
    rows = [["forward and backward pass", f"{floor:.3f}", "1.0"], ["step", f"{whole:.3f}", f"{ratio:.1f}"]]
    for stage in dict.fromkeys(stage for each in stages for stage in each):
        own = statistics.median(each.get(stage, 0.0) for each in stages)
        rows.append([f"  {stage}", f"{own:.3f}", f"{own / floor:.1f}"])
    print(table(("", "seconds", "passes"), rows))


def main() -> None:
    """Runs the chosen work items."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("items", nargs="*", help="mlp, conv; both if left out")
    parser.add_argument("--samples", type=int, help="those that a run would take if left out")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="where the time of one step goes, by function")
    arguments = parser.parse_args()
    graphs = {"mlp": random_dag(30, seed=0), "conv": conv_dag(8, seed=0)}
    for name in arguments.items or list(graphs):
        graph = graphs[name]
        model = dagrow.build(dagrow.GraphSpec.model_validate(graph), seed=1).eval()
        samples = arguments.samples or samples_needed(model.dag, everywhere=True)
        data = teacher_data(graph["inputs"]["x"]["shape"], samples, batch_that_fits(model.dag))
        for state in ("as built", "after an epoch"):
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                run(f"{name}, {state}", model, data, arguments.repeats)
            if arguments.profile:
                profiler = cProfile.Profile()
                profiler.runcall(step, model, data)
                pstats.Stats(profiler).sort_stats("cumulative").print_stats(70)
            model = trained(model, data)


if __name__ == "__main__":
    main()
