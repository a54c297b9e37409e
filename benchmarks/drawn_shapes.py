"""Images of 28 x 28 pixels, drawn: rectangles, rectangles filled with images, convex and other regions.

After the descriptions that came with the sets of Larochelle, Erhan, Courville, Bergstra & Bengio ("An Empirical
Evaluation of Deep Architectures on Problems with Many Factors of Variation", ICML 2007), of which Philipp & Carbonell
use two: is a rectangle wider than high, and is a region convex. Their images inside and outside the rectangles come
from a collection; here they are drawn as well, smooth noise of the same kind for both, so figures are not theirs.
"""

from __future__ import annotations

import numpy as np

SIDE = 28
Sets = tuple[np.ndarray, np.ndarray]
"""Pixels ``[samples, 784]`` from 0 to 1, and labels."""


def rectangles(count: int, seed: int) -> Sets:
    """The border of a rectangle in white: its sides uniform, at least 3 apart, its corner wherever it fits."""
    draw = np.random.default_rng(seed)
    images, labels = np.zeros((count, SIDE, SIDE), np.float32), np.zeros(count, np.int64)
    for index in range(count):
        height, width, top, left = _sides(draw, least=1, apart=3, area=(0.0, 1.0))
        box = images[index, top : top + height, left : left + width]
        box[[0, -1]], box[:, [0, -1]] = 1.0, 1.0
        labels[index] = width > height
    return images.reshape(count, -1), labels


def rectangles_images(count: int, seed: int) -> Sets:
    """A rectangle cut out of one image on another: sides of 10 at least and 5 apart, a quarter to 3 quarters of all."""
    draw = np.random.default_rng(seed)
    images, labels = np.empty((count, SIDE, SIDE), np.float32), np.zeros(count, np.int64)
    for index in range(count):
        height, width, top, left = _sides(draw, least=10, apart=5, area=(0.25, 0.75))
        images[index] = _texture(draw)
        box = np.s_[top : top + height, left : left + width]
        images[index][box] = _texture(draw)[box]
        labels[index] = width > height
    return images.reshape(count, -1), labels


def convex(count: int, seed: int) -> Sets:
    """White regions, half of them convex: intersections of half planes, or unions of two to four that are not convex.

    The number of half planes is geometric, of parameter 0.195 for the convex ones (at least 19 pixels), 0.07 for the
    parts of the others (at least 10 pixels). A union is taken if it fails the test of convexity. The publishers chose
    the parameters so that both kinds have as many pixels in the mean; as half planes are drawn here they would not, so
    each union is about as large as a convex region.
    """
    draw = np.random.default_rng(seed)
    images, labels = np.zeros((count, SIDE, SIDE), np.float32), np.zeros(count, np.int64)
    for index in range(0, count, 2):
        region = _large(draw, 0.195, 19)
        images[index], labels[index] = region, 1
        if index + 1 < count:
            images[index + 1] = _union(draw, int(region.sum()))
    order = draw.permutation(count)
    return images[order].reshape(count, -1), labels[order]


def is_convex(region: np.ndarray) -> bool:
    """Whether a region holds, of any two of its pixels, the one in the middle between them, rounded to either side."""
    # A row or column that is left and entered again settles it.
    for axis in (0, 1):
        if (np.diff(region.astype(np.int8), axis=axis, prepend=0) == 1).sum(axis=axis).max() > 1:
            return False
    points = np.argwhere(region)
    middle = (points[:, None] + points[None]) / 2
    low, high = np.floor(middle).astype(int), np.ceil(middle).astype(int)
    held = [region[y[..., 0], x[..., 1]] for y in (low, high) for x in (low, high)]
    return bool(np.any(held, axis=0).all())


def _large(draw: np.random.Generator, parameter: float, least: int) -> np.ndarray:
    """An intersection of half planes with so many pixels at least."""
    while (region := _half_planes(draw, parameter)).sum() < least:
        pass
    return region


def _union(draw: np.random.Generator, pixels: int) -> np.ndarray:
    """A union that is not convex, of so many pixels, give or take a tenth of the image."""
    while True:
        region = np.any([_large(draw, 0.07, 10) for _ in range(draw.integers(2, 5))], axis=0)
        if abs(int(region.sum()) - pixels) <= SIDE**2 // 10 and not is_convex(region):
            return region


def _sides(draw: np.random.Generator, least: int, apart: int, area: tuple[float, float]) -> tuple[int, int, int, int]:
    """Height, width, top and left of a rectangle."""
    while True:
        height, width = draw.integers(least, SIDE + 1, 2)
        if abs(height - width) >= apart and area[0] <= height * width / SIDE**2 <= area[1]:
            return height, width, draw.integers(SIDE - height + 1), draw.integers(SIDE - width + 1)


def _half_planes(draw: np.random.Generator, parameter: float) -> np.ndarray:
    """The pixels in all of some half planes, whose edges go anywhere through the image, in any direction."""
    centres = (np.stack(np.mgrid[:SIDE, :SIDE], axis=-1) + 0.5) / SIDE
    region = np.ones((SIDE, SIDE), bool)
    for _ in range(draw.geometric(parameter)):
        angle, point = draw.uniform(0, 2 * np.pi), draw.uniform(size=2)
        region &= (centres - point) @ np.array([np.cos(angle), np.sin(angle)]) > 0
    return region


def _texture(draw: np.random.Generator) -> np.ndarray:
    """Smooth noise from 0 to 1: waves of low frequency, as grey as they fall."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = [
        draw.normal() * np.cos(2 * np.pi * (a * x + b * y) + draw.uniform(0, 2 * np.pi)) / (1 + abs(a) + abs(b))
        for a in range(-3, 4)
        for b in range(4)
    ]
    total = np.sum(waves, axis=0)
    return (total - total.min()) / (np.ptp(total) or 1.0)
