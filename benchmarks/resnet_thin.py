"""A thin ResNet-18 grown in the middle of its blocks, TINY beside GradMax and random neurons (thesis, Fig. 5.6).

    python benchmarks/resnet_thin.py --npz cifar10.npz [--divide 8] [--starts 64 4] [--methods tiny gradmax random]
    python benchmarks/resnet_thin.py --npz cifar10.npz --lengths dagrow --batch 64 --lr 0.02 --constant-batch

Algorithm 11, Table D.2 and appendix D.4 of the thesis: all blocks in turn get as many channels as bring each to its
full width in the same number of rounds, and the network trains for a part of a pass after each, by plain SGD in
batches that grow with the root of the number of parameters (D.4.1). New weights have the lengths of D.4.2, eqs. D.2,
D.3, D.5, D.6, random ones those of TINY; or (``--lengths dagrow``) those that dagrow gives them. ``--divide`` makes
all widths smaller, for machines without a GPU; no block starts with less than one channel. Rows are printed as soon as
a run has ended, curves are drawn into ``--out``.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import dagrow
from dagrow.build import Network
from dagrow.mutation import NewFeatures, apply_change
from dagrow.report import table

SPEC = Path(__file__).parents[1] / "specs" / "resnet18.yaml"
FULL = {"h1": 64, "h2": 64, "h3": 128, "h4": 128, "h5": 256, "h6": 256, "h7": 512, "h8": 512}
"""Channels in the middle of the blocks."""
METHODS: dict[str, dict[str, Any]] = {
    "tiny": {"method": "tiny", "fallback_method": "none"},
    "gradmax": {"method": "gradmax"},
    "random": {"method": "random"},
}
LENGTHS = {"tiny": (1e-3**0.5, 1e-3**0.5), "gradmax": (0.0, 1e-3), "random": (1e-3**0.5, 1e-3**0.5)}
"""Root mean square of fan-ins and of fan-outs (D.4.2)."""
SAMPLES = 2000
"""For each insertion; the thesis' rule (D.4) asks for 0.01 to 5 308 images at an eighth of the widths."""
FEW = 2000
"""Test images on the way; all of them judge the end."""


@dataclass
class Curve:
    """A run: parameters and accuracy on the test set after each training between two insertions."""

    method: str
    start: int
    seed: int
    parameters: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0
    growing: float = 0.0


def thin_graph(divide: int, start: int) -> tuple[dagrow.GraphSpec, dict[str, int]]:
    """The network at the start, and the final widths of what grows."""
    graph = dagrow.load_graph(SPEC).model_dump(mode="json")
    full = {name: max(1, width // divide) for name, width in FULL.items()}
    for name, node in graph["nodes"].items():
        if name in full:
            node["size"] = max(1, full[name] // start)
        elif node.get("size") and name != "y":
            node["size"] //= divide
    return dagrow.GraphSpec.model_validate(graph), full


class Images:
    """Images shifted and scaled channel by channel."""

    def __init__(self, npz: str) -> None:
        with np.load(npz) as data:
            x, t = (torch.from_numpy(data[f"x_{part}"]).float() for part in ("train", "test"))
            self.y, self.ty = (torch.from_numpy(data[f"y_{part}"]).long() for part in ("train", "test"))
        mean, deviation = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
        self.x, self.tx = (x - mean) / deviation, (t - mean) / deviation

    def numbers(self, generator: torch.Generator) -> Iterator[int]:
        """Of images, for ever, in a new order in each pass."""
        while True:
            yield from torch.randperm(len(self.x), generator=generator).tolist()

    def batch(self, numbers: Iterator[int], size: int) -> tuple[Tensor, Tensor]:
        """The next images."""
        index = list(itertools.islice(numbers, size))
        return self.x[index], self.y[index]

    def some(self, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
        """For statistics."""
        index = torch.randperm(len(self.x), generator=generator)[:SAMPLES]
        return list(zip(self.x[index].split(250), self.y[index].split(250), strict=True))

    @torch.no_grad()
    def accuracy(self, network: torch.nn.Module, count: int) -> float:
        """On the first images of the test set."""
        network.eval()
        pairs = zip(self.tx[:count].split(500), self.ty[:count].split(500), strict=True)
        return float(sum((network(x).argmax(1) == y).sum() for x, y in pairs)) / count


def run(images: Images, method: str, start: int, seed: int, args: argparse.Namespace) -> Curve:
    """Algorithm 11."""
    graph, full = thin_graph(args.divide, start)
    sizes = {name: graph.nodes[name].size or 1 for name in full}
    network, curve, began = dagrow.build(graph, seed=seed), Curve(method, start, seed), time.perf_counter()
    assert isinstance(network, Network)
    optimizer = torch.optim.SGD(network.parameters(), lr=args.lr)
    order, looks = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1000)
    stream, first = images.numbers(order), parameters(network)
    lengths = LENGTHS[method] if args.lengths == "thesis" else None
    for number, (round_, name) in enumerate(itertools.product(range(args.rounds), full)):
        now, wanted = sizes[name], sizes_after(graph, full, name, round_ + 1, args.rounds)
        if wanted > now:
            grow(network, optimizer, images.some(looks), name, wanted - now, METHODS[method], lengths, number, curve)
            sizes[name] = network.spec.nodes[name].size or 1
        network.train()
        batch = args.batch if args.constant_batch else round(args.batch * (parameters(network) / first) ** 0.5)
        for _ in range(max(1, round(args.between * len(images.x) / batch))):
            x, y = images.batch(stream, batch)
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(network(x), y).backward()
            optimizer.step()
        curve.parameters.append(parameters(network))
        last = (round_, name) == (args.rounds - 1, list(full)[-1])
        curve.accuracy.append(images.accuracy(network, len(images.tx) if last else FEW))
    curve.seconds = time.perf_counter() - began
    return curve


def parameters(network: torch.nn.Module) -> int:
    """How many there are."""
    return sum(p.numel() for p in network.parameters())


def sizes_after(graph: dagrow.GraphSpec, full: dict[str, int], name: str, done: int, rounds: int) -> int:
    """The width that a place should have after so many rounds."""
    first = graph.nodes[name].size or 1
    return first + round((full[name] - first) * done / rounds)


def grow(
    network: Network,
    optimizer: torch.optim.Optimizer,
    data: Sequence[tuple[Tensor, Tensor]],
    name: str,
    count: int,
    options: dict[str, Any],
    lengths: tuple[float, float] | None,
    seed: int,
    curve: Curve,
) -> None:
    """New channels at one place, without a choice between places; where no amplitude gains, none."""
    began = time.perf_counter()
    network.eval()
    plan = dagrow.propose(
        network, cross_entropy, data, nodes=(name,), neurons=count, shrinkage=0.1, held_out=0.0, significance=0.0,
        fan_out="full", seed=seed, **options,
    )  # fmt: skip
    if plan.best is None:
        curve.refused += 1
    elif lengths is None:
        dagrow.apply(network, plan.best, optimizer)
    else:
        assert plan.best.trial is not None
        change = plan.best.trial.scaled(plan.best.amplitude)
        assert change.features is not None
        apply_change(network, replace(change, features=resized(change.features, *lengths)), optimizer)
    curve.growing += time.perf_counter() - began


def resized(features: NewFeatures, fan_in: float, fan_out: float) -> NewFeatures:
    """The same directions at other lengths: the root mean square over the new neurons; 0 stays 0."""

    def factor(weights: Iterator[Tensor], length: float) -> float:
        size = sum(float(weight.square().sum()) for weight in weights)
        return length / (size / features.count) ** 0.5 if size else 0.0

    a = factor((weight for weight, _ in features.fan_in.values()), fan_in)
    statistics = {name: (a * mean, a**2 * variance) for name, (mean, variance) in features.statistics.items()}
    return replace(
        features.scaled(a, factor(iter(features.fan_out.values()), fan_out)),
        statistics=statistics if a else features.statistics,
    )


def draw(curves: Sequence[Curve], file: Path) -> None:
    """Accuracy against parameters, a picture per start."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    starts = list(dict.fromkeys(curve.start for curve in curves))
    figure, axes = pyplot.subplots(1, len(starts), figsize=(5 * len(starts), 4), squeeze=False, sharey=True)
    colours = dict(zip(METHODS, ("tab:blue", "tab:orange", "tab:grey"), strict=True))
    for axis, start in zip(axes[0], starts, strict=True):
        for curve in (curve for curve in curves if curve.start == start):
            axis.plot(
                [count / 1000 for count in curve.parameters],
                curve.accuracy,
                color=colours[curve.method],
                label=curve.method,
            )
        axis.set(title=f"start 1/{start}", xlabel="parameters, thousands", ylabel="test accuracy")
        handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        axis.legend(handles.values(), handles.keys())
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    """A row per run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--npz", required=True)
    parser.add_argument("--divide", type=int, default=8, help="all widths by this")
    parser.add_argument("--starts", type=int, nargs="+", default=[64, 4])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rounds", type=int, default=7, help="insertions at each place")
    parser.add_argument("--between", type=float, default=0.25, help="passes after each insertion")
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--batch", type=int, default=32, help="at the start")
    parser.add_argument("--constant-batch", action="store_true", help="it does not grow with the network")
    parser.add_argument("--lengths", choices=("thesis", "dagrow"), default="thesis", help="of new weights")
    parser.add_argument("--out", type=Path, help="a picture")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images, curves, rows = Images(args.npz), [], []
    for start, seed, method in itertools.product(args.starts, args.seeds, args.methods):
        curve = run(images, method, start, seed, args)
        curves.append(curve)
        rows.append(
            (f"1/{start}", method, str(seed), str(curve.parameters[-1]), f"{curve.accuracy[-1]:.4f}",
             f"{np.mean(curve.accuracy[-8:]):.4f}", str(curve.refused), f"{curve.seconds:.0f}", f"{curve.growing:.0f}")
        )  # fmt: skip
        print("  ".join(rows[-1]), flush=True)
    head = ("start", "method", "seed", "parameters", "test", "last round", "refused", "seconds", "of these growth")
    print(table(head, rows))
    if args.out:
        draw(curves, args.out)


if __name__ == "__main__":
    main()
