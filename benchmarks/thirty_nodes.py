"""What a growth step costs on a graph of many nodes when every pair of them is proposed.

    python benchmarks/thirty_nodes.py [mlp] [conv] [--samples 10000] [--threads 1 2] [--profile]

``mlp``: a random DAG of 30 hidden nodes, 24 to 40 features each, behind 64 inputs; ten classes. ``conv``: 8 nodes of
maps. One step (propose and apply: widen, edge, node, layer, with every default) against one forward and backward pass
over the same batches.
"""

from __future__ import annotations

import argparse
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

import dagrow
from dagrow.report import table
from dagrow.training.sampling import batch_that_fits

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


def forward_and_backward(model: torch.fx.GraphModule, data: Batches) -> float:
    """Seconds of one plain pass over the data."""
    started = time.perf_counter()
    for x, y in data:
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
    return time.perf_counter() - started


@contextmanager
def clocks(seconds: dict[str, float]) -> Iterator[None]:
    """Within it, the stages of a proposal add up their time."""
    # The functions of these names hide the modules.
    propose, measure = (importlib.import_module(f"dagrow.planner.{name}") for name in ("propose", "measure"))
    stages: list[tuple[str, Any, str]] = [
        ("places", propose, "_places"),
        ("bounds", propose, "shortlist"),
        ("statistics", propose, "collect"),
        ("search", propose, "measure"),
        ("orient", measure.Evaluator, "orient"),
        ("first look and line searches", measure.Evaluator, "search"),
        ("gains", measure.Evaluator, "measure"),
        *((f"draft {name}", type(propose.find_kind(name)), "draft") for name in KINDS),
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


def step(graph: dict[str, Any], data: Batches, seed: int = 0) -> tuple[float, float, dagrow.Plan]:
    """Seconds of one proposal and of one insertion, and the plan."""
    model = dagrow.build(dagrow.GraphSpec.model_validate(graph), seed=1).eval()
    started = time.perf_counter()
    plan = dagrow.propose(model, torch.nn.functional.cross_entropy, data, candidates=KINDS, neurons=8, seed=seed)
    proposed = time.perf_counter()
    if plan.best is not None:
        dagrow.apply(model, plan.best)
    return proposed - started, time.perf_counter() - proposed, plan


def run(name: str, graph: dict[str, Any], samples: int, repeats: int) -> None:
    """Measures one work item and prints ratio and stages."""
    spec = dagrow.GraphSpec.model_validate(graph)
    model = dagrow.build(spec, seed=1).eval()
    data = teacher_data(graph["inputs"]["x"]["shape"], samples, batch_that_fits(model.dag))
    forward_and_backward(model, data)
    step(graph, data[:1])
    plain = [forward_and_backward(model, data) for _ in range(repeats)]
    times, stages = [], []
    for _ in range(repeats):
        seconds: dict[str, float] = {}
        with clocks(seconds):
            proposing, applying, plan = step(graph, data)
        times.append(proposing + applying)
        stages.append({**seconds, "apply": applying})
        # Machines are shared: what both sides are measured against must be of the same minutes.
        plain.append(forward_and_backward(model, data))
    floor, whole = statistics.median(plain), statistics.median(times)
    print(f"\n{name}: {samples} samples in {len(data)} batches, {torch.get_num_threads()} threads, {plan.stages}")
    best = plan.best
    print(
        f"best: {'none' if best is None else f'{best.kind} {best.place}, gain {best.gain:.4g}'}; loss {plan.loss:.4g}"
    )
    rows = [
        [stage, f"{(own := statistics.median(s.get(stage, 0.0) for s in stages)):.3f}", f"{own / floor:.2f}"]
        for stage in stages[0]
    ]
    rows = [
        ["forward and backward pass", f"{floor:.3f}", "1.00"],
        ["step", f"{whole:.3f}", f"{whole / floor:.2f}"],
        *rows,
    ]
    print(table(("", "seconds", "passes"), rows))


def main() -> None:
    """Runs the chosen work items."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("items", nargs="*", help="mlp, conv; both if left out")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="where the time of one step goes, by function")
    arguments = parser.parse_args()
    graphs = {"mlp": random_dag(30, seed=0), "conv": conv_dag(8, seed=0)}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for name in arguments.items or list(graphs):
            samples = arguments.samples if name == "mlp" else max(1, arguments.samples // 5)
            run(f"{name}", graphs[name], samples, arguments.repeats)
            if arguments.profile:
                profiler = cProfile.Profile()
                data = teacher_data(graphs[name]["inputs"]["x"]["shape"], samples, 2048)
                profiler.runcall(step, graphs[name], data)
                pstats.Stats(profiler).sort_stats("cumulative").print_stats(70)


if __name__ == "__main__":
    main()
