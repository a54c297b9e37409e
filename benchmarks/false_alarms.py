"""How often a noise level lets pure noise pass: each entry of `NOISE_LEVELS`, over many looks.

    python benchmarks/false_alarms.py [--looks 1000] [--levels quantile marchenko_pastur]

A look: some samples, Gaussian features with a constant, and desired updates that have nothing to do with them, of equal
size or of unequal ones. A false alarm is a first singular value above the level. The last column plants a correlation
of ``--signal`` between the first feature and the first desired update, and says how often it is found.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch

from dagrow.methods import METHODS, NOISE_LEVELS, MethodRequest, SiteMoments
from dagrow.report import table

SIZES = ((200, 10, 5), (500, 50, 20), (300, 100, 10))
"""Samples, features and outputs."""
SPREADS = {"equal": 0.0, "unequal": 1.0}
"""Output j has a deviation of ``(j + 1) ** -power``."""


def moments(size: tuple[int, int, int], power: float, seed: int, draws: int, signal: float = 0.0) -> SiteMoments:
    """The moments of one look."""
    samples, features, outputs = size
    generator = torch.Generator().manual_seed(seed)
    B, v = (torch.randn(samples, n, generator=generator, dtype=torch.float64) for n in (features - 1, outputs))
    B = torch.cat([B, torch.ones(samples, 1, dtype=torch.float64)], 1)
    v[:, 0] += signal * B[:, 0]
    v *= torch.arange(1, outputs + 1, dtype=torch.float64) ** -power
    signs = 2.0 * torch.randint(0, 2, (draws, samples), generator=generator) - 1
    noise = torch.stack([(B * one.unsqueeze(1)).T @ v / samples for one in signs.double()])
    S, squares = B.T @ B / samples, float(v.square().sum()) / samples
    return SiteMoments(S, B.T @ v / samples, noise, None, B.mean(0), squares, torch.float64)


def rate(name: str, size: tuple[int, int, int], power: float, looks: int, signal: float = 0.0) -> float:
    """The share of looks in which a neuron passes."""
    level = NOISE_LEVELS.find(name)
    request = MethodRequest(neurons=1, noise_level=level)
    alarms = sum(
        METHODS["tiny"](moments(size, power, seed, level.draws, signal), request).count for seed in range(looks)
    )
    return alarms / looks


def rows(levels: Sequence[str], looks: int, signal: float) -> list[tuple[str, ...]]:
    """A row per size, spread and level."""
    found = []
    for size in SIZES:
        for spread, power in SPREADS.items():
            for name in levels:
                began = time.perf_counter()
                false = rate(name, size, power, looks)
                right = rate(name, size, power, max(1, looks // 5), signal)
                sizes = " x ".join(map(str, size))
                row = (sizes, spread, name, f"{false:.3f}", f"{right:.3f}", f"{time.perf_counter() - began:.0f}")
                print("  ".join(row), flush=True)
                found.append(row)
    return found


def main() -> None:
    """Prints the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--looks", type=int, default=1000)
    parser.add_argument("--levels", nargs="+", default=list(NOISE_LEVELS), choices=list(NOISE_LEVELS))
    parser.add_argument("--signal", type=float, default=0.3, help="correlation that is planted for the last column")
    args = parser.parse_args()
    head = ("samples x features x outputs", "desired updates", "noise level", "false alarms", "found", "seconds")
    print(table(head, rows(args.levels, args.looks, args.signal)))


if __name__ == "__main__":
    main()
