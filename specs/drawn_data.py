"""Draws the small data sets of the specs for series and volumes: nothing is downloaded.

python specs/drawn_data.py            # specs/timeseries.npz and specs/volumes.npz
python specs/drawn_data.py --out DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

NOISE = 0.5


def series(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Series ``[count, 3, 64]``: a burst of one of four frequencies on one channel, its echo on the next."""
    labels = rng.integers(4, size=count)
    time = np.arange(64)
    centre, phase = rng.uniform(12, 44, (count, 1)), rng.uniform(0, 2 * np.pi, (count, 1))
    frequency = np.array([0.05, 0.1, 0.2, 0.4])[labels, None]
    burst, echo = (
        np.exp(-(((time - centre - shift) / 6) ** 2)) * np.sin(2 * np.pi * frequency * (time - shift) + phase)
        for shift in (0, 8)
    )
    x = NOISE * rng.normal(size=(count, 3, 64))
    first = rng.integers(3, size=count)
    x[np.arange(count), first] += 2 * burst
    x[np.arange(count), (first + 1) % 3] += echo
    return x.astype(np.float32), labels


def volumes(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Volumes ``[count, 1, 10, 10, 10]``: a ball, a shell, a cube or a rod, anywhere inside."""
    labels = rng.integers(4, size=count)
    grid = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing="ij"))
    offset = grid - rng.uniform(3, 6, (count, 3, 1, 1, 1))
    distance, largest = np.sqrt((offset**2).sum(1)), np.abs(offset).max(1)
    rod = np.sqrt((offset[:, 1:] ** 2).sum(1))
    shapes = np.stack([distance < 2.6, (distance > 1.8) & (distance < 3.2), largest < 2.1, rod < 1.3])
    x = shapes[labels, np.arange(count)] + 0.6 * NOISE * rng.normal(size=(count, 10, 10, 10))
    return x[:, None].astype(np.float32), labels


def main() -> None:
    """Writes both files."""
    parser = argparse.ArgumentParser(description="Draws the data of timeseries_conv1d.yaml and volume_conv3d.yaml.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().out
    for name, draw, count in (("timeseries", series, 1200), ("volumes", volumes, 600)):
        rng = np.random.default_rng(0)
        (x_train, y_train), (x_test, y_test) = draw(rng, count), draw(rng, count // 2)
        np.savez_compressed(folder / f"{name}.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


if __name__ == "__main__":
    main()
