"""A small language model of bytes: grown by measured gain, in fixed proportion, at random, or as large from scratch.

    python benchmarks/language_model.py [--seeds 5] [--steps 600] [--out FILE.json]

A pre-norm transformer of two layers learns the texts that scikit-learn ships, the last tenth held out. Grown ones begin
with a stream of 8, one head of inner size 2 and 4 hidden units a layer, and are widened at even times during the first
two thirds of training, all by the same timetable of parameters:

gain         the space of most measured gain per parameter, at its amplitude
gain, silent the same space, but its new channels change nothing at first
proportion   every space but heads by a tenth, silently
random       a space that is drawn, silently
scratch      the sizes that gain ended with, from new weights: for as many multiply-adds as gain took, growth included,
             and for as many steps

Multiply-adds are those of the layers, forward and backward, at each size; a look of growth counts as the passes that it
takes over its samples. Printed are held-out losses, their means and standard deviations, how much lower that of gain is
(paired by seed, 95 % interval), and which kinds of spaces were widened.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sklearn
import torch
from rich.console import Console
from rich.table import Table
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

import dagrow
from dagrow.module_growth import apply_to_module

LENGTH, BATCH, VOCABULARY = 32, 32, 128
RATE = 4e-3
GROWTHS, NEURONS = 16, 4
"""Moments of growth in a run, and new channels of an insertion."""
SAMPLES = 64
"""Sequences that a growth step looks at."""
GROWTH_PASSES = 6
"""Forward and backward passes of these that a look takes, as `benchmarks/real_modules.py` counts them."""
START = (8, [(1, 2, 2, 4), (1, 2, 2, 4)])
"""Stream; heads, inner size, values of a head and hidden units of each layer."""


class Attention(nn.Module):
    """Causal attention with sizes of its own."""

    def __init__(self, stream: int, heads: int, inner: int, values: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(stream, heads * inner), nn.Linear(stream, heads * inner)
        self.value, self.out = nn.Linear(stream, heads * values), nn.Linear(heads * values, stream)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, tokens, features]`` in and out."""
        q, k, v = (part(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2) for part in self._parts())
        return self.out(scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))

    def _parts(self) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
        return self.query, self.key, self.value


class Block(nn.Module):
    """Attention and two layers, each beside the stream."""

    def __init__(self, stream: int, heads: int, inner: int, values: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(stream), Attention(stream, heads, inner, values)
        self.norm2, self.first, self.second = nn.LayerNorm(stream), nn.Linear(stream, hidden), nn.Linear(hidden, stream)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, tokens, features]`` in and out."""
        x = x + self.attention(self.norm1(x))
        return x + self.second(nn.functional.gelu(self.first(self.norm2(x))))


class Model(nn.Module):
    """Bytes in, scores of the next byte out."""

    def __init__(self, stream: int, blocks: list[tuple[int, int, int, int]]) -> None:
        super().__init__()
        self.word, self.place = nn.Embedding(VOCABULARY, stream), nn.Embedding(LENGTH, stream)
        self.blocks = nn.ModuleList(Block(stream, *sizes) for sizes in blocks)
        self.norm, self.head = nn.LayerNorm(stream), nn.Linear(stream, VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, tokens]`` to ``[batch, tokens, bytes]``."""
        h = self.word(x) + self.place.weight[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


def sizes_of(model: Model) -> tuple[int, list[tuple[int, int, int, int]]]:
    """What `Model` is to be called with for a model of this size."""
    blocks = []
    for block in model.blocks:
        heads = block.attention.heads
        inner, values = (part.out_features // heads for part in (block.attention.query, block.attention.value))
        blocks.append((heads, inner, values, block.first.out_features))
    return model.word.weight.shape[1], blocks


def multiply_adds(model: Model) -> int:
    """Of one sequence, forward."""
    layers = sum(part.weight.numel() for part in model.modules() if isinstance(part, nn.Linear)) * LENGTH
    pairs = LENGTH * LENGTH * sum(b.attention.query.out_features + b.attention.value.out_features for b in model.blocks)
    return layers + pairs


def text() -> tuple[Tensor, Tensor]:
    """Bytes of the descriptions of scikit-learn's data sets: for training, and held out."""
    folder = Path(sklearn.__file__).parent / "datasets" / "descr"
    whole = b"".join(path.read_bytes() for path in sorted(folder.glob("*.rst")))
    values = np.frombuffer(whole, dtype=np.uint8).astype(np.int64)
    values = torch.from_numpy(values[values < VOCABULARY])
    cut = len(values) * 9 // 10
    return values[:cut], values[cut:]


def batch(values: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sequences and what comes next."""
    starts = torch.randint(len(values) - LENGTH - 1, (count, 1), generator=generator)
    places = starts + torch.arange(LENGTH + 1)
    return values[places][:, :-1], values[places][:, 1:]


def loss_of(scores: Tensor, target: Tensor) -> Tensor:
    """The mean over bytes."""
    return cross_entropy(scores.flatten(0, 1), target.flatten())


@dataclass
class Growing:
    """What a way to grow works on.

    Attributes:
        net: the captured model.
        optimizer: of it.
        data: a batch that growth looks at.
        draw: of what is drawn.
        silent: whether new channels change nothing at first.
    """

    net: dagrow.CapturedModule
    optimizer: torch.optim.Optimizer
    data: list[tuple[Tensor, Tensor]]
    draw: random.Random
    silent: bool = False


def by_gain(growing: Growing) -> list[str]:
    """Widens the space of most gain per parameter; none if nothing gains."""
    plan = dagrow.propose(growing.net, loss_of, growing.data, neurons=NEURONS, keep=100)
    fit = [each for each in plan.candidates if each.gain > 0 and each.weights is not None and not each.rejected]
    if not fit:
        return []
    best = max(fit, key=lambda each: each.gain / each.parameters)
    apply_to_module(growing.net, best, growing.optimizer, silent=growing.silent)
    return [best.space]


def at_random(growing: Growing) -> list[str]:
    """Widens a space that is drawn."""
    space = growing.draw.choice(growing.net.growable)
    count = 1 if space.kind == "heads" else NEURONS
    dagrow.widen(growing.net, space, count, growing.optimizer, seed=growing.draw.randrange(10**6))
    return [space.name]


def in_proportion(growing: Growing) -> list[str]:
    """Widens every space by a tenth, one channel at least; heads stay as they are, their sizes grow."""
    names = [space.name for space in growing.net.growable if space.kind != "heads"]
    for name in names:
        count = max(1, round(0.1 * growing.net.space(name).size))
        dagrow.widen(growing.net, name, count, growing.optimizer, seed=growing.draw.randrange(10**6))
    return names


WAYS: dict[str, tuple[Callable[[Growing], list[str]], bool]] = {
    "gain": (by_gain, False),
    "gain, silent": (by_gain, True),
    "proportion": (in_proportion, True),
    "random": (at_random, True),
}


@dataclass
class Run:
    """One model after training.

    Attributes:
        loss: on held-out text.
        multiply_adds: of training and growth.
        parameters: at the end.
        sizes: what `Model` is to be called with.
        widened: step and space of each insertion.
    """

    loss: float
    multiply_adds: float
    parameters: int
    sizes: tuple[int, list[tuple[int, int, int, int]]]
    widened: list[tuple[int, str]] = field(default_factory=list)


def parameters_of(model: nn.Module) -> int:
    """How many numbers it learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def optimizer_of(model: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW, its rate rising over a tenth of the steps and falling with a cosine."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)

    def rate(step: int) -> float:
        return min((step + 1) / (0.1 * steps), 0.5 + 0.5 * math.cos(math.pi * step / steps))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate)


def train_step(model: Model, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    """One step; the loss before it."""
    optimizer.zero_grad()
    loss = loss_of(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def held_out_loss(model: Model, values: Tensor) -> float:
    """Over 2 048 sequences, the same for all."""
    x, y = batch(values, 2048, torch.Generator().manual_seed(0))
    parts = zip(x.split(256), y.split(256), strict=True)
    return statistics.fmean(loss_of(model(own), target).item() for own, target in parts)


def grown(way: str, seed: int, steps: int, target: int) -> Run:
    """A model that grows to so many parameters while it is trained."""
    grow, silent = WAYS[way]
    torch.manual_seed(seed)
    learned, held_out = text()
    generator = torch.Generator().manual_seed(seed)
    model = Model(*START)
    optimizer, scheduler = optimizer_of(model, steps)
    net = dagrow.from_module(model, batch(learned, 2, generator)[0])
    draw, begun, spent = random.Random(seed), parameters_of(model), 0.0
    growths = [round((index + 1) * 2 / 3 * steps / GROWTHS) for index in range(GROWTHS)]
    widened: list[tuple[int, str]] = []
    for step in range(steps):
        train_step(model, optimizer, *batch(learned, BATCH, generator))
        scheduler.step()
        spent += 3 * multiply_adds(model) * BATCH
        if step + 1 not in growths:
            continue
        limit = begun + (target - begun) * (growths.index(step + 1) + 1) / GROWTHS
        while parameters_of(model) < limit:
            data = [batch(learned, SAMPLES, generator)]
            if grow is by_gain:
                spent += 3 * multiply_adds(model) * SAMPLES * GROWTH_PASSES
            found = grow(Growing(net, optimizer, data, draw, silent))
            widened += [(step + 1, name) for name in found]
            if not found:
                break
    return Run(held_out_loss(model, held_out), spent, parameters_of(model), sizes_of(model), widened)


def from_scratch(like: Run, seed: int, steps: int | None = None) -> Run:
    """A model of the final sizes of another, trained for as many multiply-adds, or for so many steps."""
    torch.manual_seed(seed + 1000)
    learned, held_out = text()
    generator = torch.Generator().manual_seed(seed + 1000)
    model = Model(*like.sizes)
    each = 3 * multiply_adds(model) * BATCH
    steps = max(1, round(like.multiply_adds / each)) if steps is None else steps
    optimizer, scheduler = optimizer_of(model, steps)
    for _ in range(steps):
        train_step(model, optimizer, *batch(learned, BATCH, generator))
        scheduler.step()
    return Run(held_out_loss(model, held_out), each * steps, parameters_of(model), sizes_of(model))


def kind_of(space: str) -> str:
    """What a space is: stream, heads, query_key, value or hidden."""
    label = space.rpartition(":")[2]
    return label if label in ("heads", "query_key", "value") else "hidden" if ".first" in space else "stream"


def main() -> None:
    """Prints the table, and which kinds were widened when."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--parameters", type=int, default=12_000, help="at the end of growth")
    parser.add_argument("--out", type=Path, help="a JSON file for all runs")
    parser.add_argument("--picture", type=Path, help="a file for the picture of the kinds that were widened")
    given = parser.parse_args()
    runs: dict[str, list[Run]] = {}
    for seed in range(given.seeds):
        for way in WAYS:
            began = time.perf_counter()
            runs.setdefault(way, []).append(grown(way, seed, given.steps, given.parameters))
            _tell(way, seed, runs[way][-1], began)
        for name, steps in (("scratch, equal multiply-adds", None), ("scratch, equal steps", given.steps)):
            began = time.perf_counter()
            runs.setdefault(name, []).append(from_scratch(runs["gain"][-1], seed, steps))
            _tell(name, seed, runs[name][-1], began)
        if given.out:
            given.out.write_text(json.dumps({name: [vars(run) for run in own] for name, own in runs.items()}, indent=1))
    _table(runs)
    if given.picture:
        _draw(runs, given.steps, given.picture)


def _tell(name: str, seed: int, run: Run, began: float) -> None:
    print(
        f"{name:30} seed {seed}: loss {run.loss:.4f}, {run.parameters} parameters, {run.multiply_adds / 1e9:.2f} G "
        f"multiply-adds, {time.perf_counter() - began:.0f} s; {run.sizes}",
        flush=True,
    )


def _table(runs: dict[str, list[Run]]) -> None:
    table = Table("model", "held-out loss", "parameters", "10⁹ multiply-adds", "gain is lower by")
    for name, own in runs.items():
        losses = [run.loss for run in own]
        apart = [other.loss - run.loss for other, run in zip(own, runs["gain"], strict=True)]
        deviation = statistics.stdev(apart) if len(apart) > 1 else math.nan
        half = float(stats.t.ppf(0.975, max(1, len(apart) - 1))) * deviation / len(apart) ** 0.5
        spread = statistics.stdev(losses) if len(losses) > 1 else math.nan
        table.add_row(
            name,
            f"{statistics.fmean(losses):.4f} ± {spread:.4f}",
            f"{statistics.fmean(run.parameters for run in own):.0f}",
            f"{statistics.fmean(run.multiply_adds for run in own) / 1e9:.2f}",
            f"{statistics.fmean(apart):+.4f} ± {half:.4f}",
        )
    Console(width=120).print(table)
    for name in WAYS:
        counts = Counter(kind_of(space) for run in runs[name] for _, space in run.widened)
        print(f"{name}: widened {', '.join(f'{kind} {count}' for kind, count in counts.most_common())}")


def _draw(runs: dict[str, list[Run]], steps: int, file: Path) -> None:
    """Insertions of each kind over training, of the runs that grow by gain, seeds added up."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot()
    edges = np.linspace(0, steps * 2 / 3 + 1, 9)
    found = [(step, kind_of(space)) for run in runs["gain"] for step, space in run.widened]
    bottom = np.zeros(len(edges) - 1)
    for kind in ("stream", "hidden", "value", "query_key", "heads"):
        counts, _ = np.histogram([step for step, own in found if own == kind], edges)
        axes.bar(edges[:-1], counts, np.diff(edges) * 0.9, bottom, align="edge", label=kind)
        bottom += counts
    axes.set_xlabel("training step")
    axes.set_ylabel("insertions")
    axes.legend(frameon=False)
    figure.savefig(file)


if __name__ == "__main__":
    main()
