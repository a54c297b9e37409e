"""Data sets with a first graph, a budget and a trainer: what `generalisation.py` and `factors.py` grow.

Growth is left at its defaults everywhere, but for the budget and how many neurons may come at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Sections = dict[str, Any]
"""Of a run file."""


def mlp(features: int, sizes: tuple[int, ...], classes: int, activation: str) -> Sections:
    """A chain of hidden layers."""
    names = [f"h{index}" for index in range(1, len(sizes) + 1)]
    hidden = {name: {"size": size, "activation": activation} for name, size in zip(names, sizes, strict=True)}
    chain = ["x", *names, "y"]
    return {
        "inputs": {"x": {"shape": [features]}},
        "nodes": {**hidden, "y": {"size": classes}},
        "edges": {f"{a} -> {b}": "linear" for a, b in itertools.pairwise(chain)},
        "outputs": ["y"],
    }


def conv(channels: tuple[int, ...], norm: str) -> Sections:
    """Convolutions of 3 x 3 on images: the first by two pixels and with a pool, then pools at every other one."""
    names = [f"c{index}" for index in range(1, len(channels) + 1)]
    nodes: Sections = {
        name: {"size": size, "activation": "relu", "norm": norm} for name, size in zip(names, channels, strict=True)
    }
    for name in names[::2]:
        nodes[name]["pool"] = {"kind": "max", "kernel": 2}
    nodes[names[-1]]["pool"] = "global_average"
    chain = ["x", *names]
    edges: Sections = {
        f"{a} -> {b}": {"op": "conv2d", "kernel": 3, "padding": "same"} for a, b in itertools.pairwise(chain)
    }
    edges[f"x -> {names[0]}"] = {"op": "conv2d", "kernel": 3, "padding": 1, "stride": 2}
    return {
        "inputs": {"x": {"shape": [3, 32, 32]}},
        "nodes": {**nodes, "y": {"size": 10}},
        "edges": {**edges, f"{names[-1]} -> y": "linear"},
        "outputs": ["y"],
    }


def two_convolutions(channels: int) -> Sections:
    """Little more than input -> output for images: maps of 8 x 8, then of 4 x 4, and the mean of each."""
    step = {"op": "conv2d", "kernel": 3, "padding": 1, "stride": 2}
    return {
        "inputs": {"x": {"shape": [3, 32, 32]}},
        "nodes": {
            "first": {"size": channels, "activation": "relu", "pool": {"kind": "max", "kernel": 2}},
            "last": {"size": channels, "activation": "relu", "pool": "global_average"},
            "y": {"size": 10},
        },
        "edges": {"x -> first": step, "first -> last": step, "last -> y": "linear"},
        "outputs": ["y"],
    }


def small(name: str, features: int, classes: int) -> Sections:
    """One that scikit-learn carries: from two hidden units to at most 2 000 parameters."""
    return {
        "graph": mlp(features, (2,), classes, "selu"),
        "data": {"dataset": name, "standardize": True},
        "training": {"optimizer": {"name": "adam", "lr": 0.003}, "batch_size": 64, "final_epochs": 40},
        "growth": {"budget": {"parameters": 2000, "steps": 15}},
    }


def images(
    graph: Sections,
    file: Path,
    parameters: int,
    steps: int,
    final_epochs: int,
    neurons: int = 8,
    average: float = 0.999,
) -> Sections:
    """One of an archive of images."""
    return {
        "graph": graph,
        "data": {"npz": str(file), "standardize": True},
        "training": {
            "optimizer": {"name": "adam", "lr": 0.001},
            "ema_decay": average,
            "batch_size": 128,
            "final_epochs": final_epochs,
        },
        "growth": {"neurons": neurons, "budget": {"parameters": parameters, "steps": steps}},
    }


def fashion(folder: Path, activation: str) -> Sections:
    """48 hidden units are 38 170 parameters."""
    return images(mlp(784, (8,), 10, activation), folder / "fashion_mnist.npz", 38_170, 8, 10)


def mnist(folder: Path) -> Sections:
    """64-64 units are 55 050 parameters."""
    return images(mlp(784, (8, 8), 10, "relu"), folder / "mnist.npz", 55_050, 16, 10, neurons=16)


def cifar(folder: Path, norm: str) -> Sections:
    """Four convolutions within 50 000 parameters."""
    return images(conv((8, 8, 8, 8), norm), folder / "cifar10_20k.npz", 50_000, 8, 9, neurons=16, average=0.99)


def cifar_fixed(folder: Path, passes: int) -> Sections:
    """A convolutional net of 49 720 parameters that does not grow."""
    return images(conv((32, 32, 48, 58), "none"), folder / "cifar10_20k.npz", 50_000, 0, passes, average=0.99)


def cifar_dag(folder: Path) -> Sections:
    """What growth makes of input -> output within 50 000 parameters."""
    run = images(two_convolutions(16), folder / "cifar10_20k.npz", 50_000, 6, 12, neurons=32, average=0.99)
    run["growth"] |= {"candidates": ["widen", "node", "layer"], "new_node": {"activation": "relu"}}
    return run


PROBLEMS: Mapping[str, Callable[[Path], Sections]] = {
    "digits": lambda folder: small("digits", 64, 10),
    "wine": lambda folder: small("wine", 13, 3),
    "breast_cancer": lambda folder: small("breast_cancer", 30, 2),
    "fashion": lambda folder: fashion(folder, "relu"),
    "fashion_selu": lambda folder: fashion(folder, "selu"),
    "mnist": mnist,
    "cifar_conv": lambda folder: cifar(folder, "none"),
    "cifar_conv_norm": lambda folder: cifar(folder, "batch"),
    "cifar_dag": cifar_dag,
}
"""By name: given the folder of the archives, a run."""
