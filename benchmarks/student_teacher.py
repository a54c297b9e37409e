"""A student that grows towards its teacher: the protocol of GradMax (Evci et al., ICLR 2022, section 4.1).

    python benchmarks/student_teacher.py [--seeds 20] [--teacher published] [--methods gradmax random_fan_out tiny ...]

Teacher 10-10-10, student 10-5-10, relu, no biases, 1 000 Gaussian samples, mean squared error, full-batch SGD with
learning rate 0.1. A student grown by one random neuron every 200 steps is stopped before each insertion k = 0..4; from
there every method inserts its neuron and trains 500 steps: the score is the mean loss over these. `--teacher published`
is the one teacher and data set of the authors' notebook, remade from its seed; `drawn` takes another for each seed.
`--start-scale` and `--first` change what the paper leaves open: the length of the student's start weights, in units of
Glorot's, and how many steps it trains before the first insertion.
"""

from __future__ import annotations

import argparse
import copy
import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import dagrow
from dagrow.methods import EXISTING, GOAL, Method, MethodRequest, Neurons, SiteMoments, ZeroFanIn
from dagrow.report import table
from dagrow.spec import GraphSpec

PUBLISHED = {
    "gradmax": (0.4595, 0.3723, 0.3091, 0.2795, 0.2356),
    "random_fan_out": (0.5100, 0.4279, 0.3551, 0.2870, 0.2612),
}
"""Means of the authors' notebook."""

INPUTS = TEACHER = OUTPUTS = 10
STUDENT = 5
SAMPLES = 1_000
INTERVAL, AFTER, GROWTHS = 200, 500, 5
RATE = 0.1


def random_fan_out(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """The paper's baseline: fan-in 0 as in GradMax, a fan-out of that length drawn from the positive orthant."""
    assert moments.N_goal is not None
    assert moments.existing is not None
    generator = torch.Generator().manual_seed(request.seed)
    omega = torch.rand(request.neurons, moments.N_goal.shape[1], generator=generator, dtype=torch.float64)
    omega = omega * (moments.existing.fan_out.mean() / omega.norm(dim=1, keepdim=True))
    alpha = torch.zeros(len(moments.N_goal), request.neurons, dtype=torch.float64)
    scores = torch.ones(request.neurons, dtype=torch.float64)
    return Neurons(alpha, omega, scores, mode=ZeroFanIn(moments.N_goal @ omega.T))


def main() -> None:
    """Runs the seeds and prints mean losses beside the published ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--teacher", choices=("published", "drawn"), default="published")
    parser.add_argument("--methods", nargs="+", default=["gradmax", "random_fan_out"])
    parser.add_argument("--start-scale", type=float, default=1.0)
    parser.add_argument("--first", type=int, default=INTERVAL)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dagrow.register_method("random_fan_out", Method(random_fan_out, needs=(GOAL, EXISTING)))
    protocol = Protocol(arguments.teacher, arguments.start_scale, arguments.first)
    found = np.array([losses(seed, protocol, arguments.methods) for seed in range(arguments.seeds)])
    rows = []
    for index, method in enumerate(arguments.methods):
        own = found[:, index]
        rows.append([method, *(f"{m:.4f} ({s:.3f})" for m, s in zip(own.mean(0), own.std(0), strict=True))])
        if method in PUBLISHED:
            rows.append(["  published", *(f"{loss:.4f}" for loss in PUBLISHED[method])])
            ratios = own.mean(0) / PUBLISHED[method]
            rows.append(["  ratio", *(f"{ratio:.2f}" for ratio in ratios)])
    header = [f"mean (deviation) of {arguments.seeds} seeds", *(f"k = {k}" for k in range(GROWTHS))]
    print(table(header, rows))
    if {"gradmax", "random_fan_out"} <= set(arguments.methods):
        gradmax, other = (found[:, arguments.methods.index(name)] for name in ("gradmax", "random_fan_out"))
        print("gradmax / random_fan_out:", " ".join(f"{r:.3f}" for r in gradmax.mean(0) / other.mean(0)))
        print("published               :", " ".join(f"{a / b:.3f}" for a, b in zip(*PUBLISHED.values(), strict=True)))
        print("gradmax is lower in     :", " ".join(f"{r:.0%}" for r in (gradmax < other).mean(0)))


@dataclass(frozen=True)
class Protocol:
    """What the command line chooses."""

    teacher: str
    start_scale: float
    first: int


def losses(seed: int, protocol: Protocol, methods: list[str]) -> list[list[float]]:
    """Mean loss after each insertion, per method and k."""
    x, y = published_data() if protocol.teacher == "published" else drawn_data(seed)
    student = student_of(seed, protocol.start_scale)
    train(student, x, y, protocol.first + 1)
    found: list[list[float]] = [[] for _ in methods]
    for k in range(GROWTHS):
        for index, method in enumerate(methods):
            grown = copy.deepcopy(student)
            insert(grown, x, y, method, seed * GROWTHS + k)
            found[index].append(train(grown, x, y, AFTER))
        insert(student, x, y, "random_fan_out", 10_000 + seed * GROWTHS + k)
        train(student, x, y, INTERVAL)
    return found


def student_of(seed: int, scale: float) -> torch.fx.GraphModule:
    """5 hidden units, Glorot uniform as Keras has it."""
    spec = GraphSpec.model_validate(
        {
            "inputs": {"x": {"shape": [INPUTS]}},
            "nodes": {"h": {"size": STUDENT, "activation": "relu"}, "y": {"size": OUTPUTS}},
            "edges": {"x -> h": {"op": "linear", "bias": False}, "h -> y": {"op": "linear", "bias": False}},
            "outputs": ["y"],
        }
    )
    model = dagrow.build(spec, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        torch.nn.init.xavier_uniform_(parameter, gain=scale, generator=generator)
    return model


def train(model: torch.fx.GraphModule, x: Tensor, y: Tensor, steps: int) -> float:
    """Full-batch gradient descent; the mean loss on the way."""
    model.train()
    total = 0.0
    for _ in range(steps):
        loss = torch.nn.functional.mse_loss(model(x), y)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= RATE * gradient
        total += float(loss.detach())
    return total / steps


def insert(model: torch.fx.GraphModule, x: Tensor, y: Tensor, method: str, seed: int) -> None:
    """One neuron, found on all samples."""
    plan = dagrow.propose(
        model,
        torch.nn.functional.mse_loss,
        [(x, y)],
        method=method,
        nodes=["h"],
        neurons=1,
        shrinkage=0.0,
        significance=0.0,
        seed=seed,
    )
    if plan.best is not None:
        dagrow.apply(model, plan.best)


def drawn_data(seed: int) -> tuple[Tensor, Tensor]:
    """Inputs, and what a teacher with weights uniform in [-1, 1] makes of them."""
    generator = torch.Generator().manual_seed(77_000 + seed)
    W1 = 2 * torch.rand(INPUTS, TEACHER, generator=generator) - 1
    W2 = 2 * torch.rand(TEACHER, OUTPUTS, generator=generator) - 1
    x = torch.randn(SAMPLES, INPUTS, generator=generator)
    return x, (x @ W1).relu() @ W2


def published_data() -> tuple[Tensor, Tensor]:
    """What the notebook's TensorFlow draws after `set_seed(0)`: each op takes the next number of Python's generator.

    The first three go to a first input and to Keras' own start weights of the teacher (before Keras 2.9).
    """
    numbers = random.Random(0)
    _, _, _, first, second, third = (numbers.randint(0, 2**31 - 1) for _ in range(6))
    W1 = 2 * uniform(first, INPUTS * TEACHER) - 1
    W2 = 2 * uniform(second, TEACHER * OUTPUTS) - 1
    u = np.maximum(uniform(third, SAMPLES * INPUTS), 1e-7).reshape(-1, 2)
    angle = 2 * np.pi * u[:, 1]
    normal = np.sqrt(-2 * np.log(u[:, :1])) * np.stack([np.sin(angle), np.cos(angle)], 1)
    x = torch.tensor(normal.reshape(SAMPLES, INPUTS), dtype=torch.float32)
    weights = (torch.tensor(W.reshape(10, 10), dtype=torch.float32) for W in (W1, W2))
    return x, (x @ next(weights)).relu() @ next(weights)


def uniform(stream: int, count: int) -> np.ndarray:
    """Numbers in [0, 1) by the counter-based generator Philox 4x32-10 (Salmon et al., SC 2011), key 0."""
    low = np.uint64(0xFFFFFFFF)
    blocks = np.arange(-(-count // 4), dtype=np.uint64)
    zeros = np.zeros_like(blocks)
    c = [blocks, zeros, zeros + np.uint64(stream), zeros]
    key = [np.uint64(0), np.uint64(0)]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> np.uint64(32)) ^ c[1] ^ key[0], b & low, (a >> np.uint64(32)) ^ c[3] ^ key[1], a & low]
        key = [(key[0] + np.uint64(0x9E3779B9)) & low, (key[1] + np.uint64(0xBB67AE85)) & low]
    return (np.stack(c, 1).ravel()[:count] & np.uint64(0x7FFFFF)) / 2.0**23


if __name__ == "__main__":
    main()
