"""The line search for an amplitude factor (thesis 4.2, Algorithm 8): smooth in log g, about ten evaluations.

The search asks for a few amplitudes at a time, because one pass over the data serves them all. Amplitudes
are relative to the one at which the first-order gain would be the whole loss, so nothing depends on the
units of data or loss; a method's own scale can be off by 1e6 (a convolution before a global average).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

FIRST = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1)
BELOW = (1e-8, 1e-7, 1e-6, 1e-5)
ABOVE = (1e2, 1e3, 1e4)
STEP = 1.6
"""Between the points of a search that starts at what gained elsewhere."""
WIDENINGS = 4
PARABOLAS = 2
RESOLUTION = 1e-3
"""Amplitudes nearer to one another than this, relatively, are not worth another look."""
MINIMUM_GAIN = 1e-6
"""Relative to the loss: below this, a drop in float32 is rounding."""


@dataclass
class LineSearch(ABC):
    """``argmin L(g)`` over some g > 0, 0 where none of them lowers the loss.

    Attributes:
        scale: the amplitude that counts as 1.
        start: the loss at amplitude 0.
        losses: what is known, by amplitude relative to the scale.
    """

    scale: float = 1.0
    start: float = math.nan
    losses: dict[float, float] = field(default_factory=dict, kw_only=True)

    @abstractmethod
    def ask(self) -> tuple[float, ...]:
        """The next relative amplitudes to try; empty when the search is over."""

    @abstractmethod
    def again(self) -> LineSearch:
        """A search on other samples, after this one has found an amplitude."""

    def tell(self, losses: dict[float, float]) -> None:
        """Adds measured losses; what is no number counts as infinite."""
        self.losses.update({t: loss if math.isfinite(loss) else math.inf for t, loss in losses.items()})

    @property
    def amplitude(self) -> float:
        """The best amplitude so far, at its real scale; 0 rejects."""
        return self.relative * self.scale

    @property
    def relative(self) -> float:
        """The best amplitude so far, relative to the scale; 0 rejects."""
        return self._lowest() or 0.0

    @property
    def lowest_loss(self) -> float:
        """The loss at the best amplitude, the starting loss where there is none."""
        best = self._lowest()
        return self.start if best is None else self.losses[best]

    def _lowest(self) -> float | None:
        best = min(sorted(self.losses), key=self.losses.__getitem__, default=None)
        if best is None or not self.losses[best] < self.start - MINIMUM_GAIN * abs(self.start):
            return None
        return best


@dataclass
class AmplitudeSearch(LineSearch):
    """Over all g up to a largest one: by decades, then around the best.

    Attributes:
        around: relative amplitude that gained elsewhere: where the search starts; None looks everywhere.
        parabolas: points at the vertex of a parabola at the end, at most.
        largest: relative amplitude beyond which none is tried.
    """

    around: float | None = None
    parabolas: int = PARABOLAS
    largest: float = math.inf
    _refined: int = 0
    _widened: int = 0

    def ask(self) -> tuple[float, ...]:
        """The next of them; what is known already is not asked for again."""
        within = dict.fromkeys(min(point, self.largest) for point in self._wanted())
        return tuple(point for point in within if point not in self.losses)

    def again(self) -> LineSearch:
        """From the best on, as far up as here."""
        return AmplitudeSearch(around=self.amplitude, largest=self.largest * self.scale)

    def _wanted(self) -> tuple[float, ...]:
        if not self.losses:
            return FIRST if self.around is None else (self.around, self.around * STEP)
        tried = sorted(self.losses)
        best = self._lowest()
        if self.around is not None:
            if best not in (None, tried[-1]) or self._widened >= WIDENINGS:
                return ()
            # Where it was looked for elsewhere there is no gain here: perhaps with less. Or more is better still.
            self._widened += 1
            return (tried[0] / STEP**2, tried[0] / STEP) if best is None else (best * STEP,)
        if best is None:
            # Nothing in the middle: look at both ends of the range, then give up.
            return BELOW if tried[0] > BELOW[0] else ABOVE if tried[-1] < min(ABOVE[-1], self.largest) else ()
        if best == tried[0] or (best == tried[-1] and best < self.largest):
            low = best == tried[0]
            if (low and best > BELOW[0]) or (not low and best < ABOVE[-1]):
                return BELOW if low else ABOVE
            if self._widened >= WIDENINGS:
                return ()
            self._widened += 1
            return (best / 100, best / 10) if low else (best * 10, best * 100)
        return self._refine(tried, best)

    def _refine(self, tried: list[float], best: float) -> tuple[float, ...]:
        self._refined += 1
        if self._refined == 1:
            return _between(tried, best)
        if self._refined <= 1 + self.parabolas:
            vertex = _vertex(tried, best, self.losses)
            return () if vertex is None else (vertex,)
        return ()


@dataclass
class GridSearch(LineSearch):
    """Over a given grid, all of it at once (Algorithm 8).

    Attributes:
        grid: relative amplitudes, rising.
    """

    grid: tuple[float, ...] = ()

    def ask(self) -> tuple[float, ...]:
        """All of them, once."""
        return () if self.losses else self.grid

    def again(self) -> LineSearch:
        """Over the best and its neighbours."""
        index = min(range(len(self.grid)), key=lambda i: abs(self.grid[i] - self.relative))
        near = self.grid[max(0, index - 1) : index + 2]
        return GridSearch(grid=tuple(point * self.scale for point in near))


def _between(tried: list[float], best: float) -> tuple[float, ...]:
    """Two points on either side of the best, inside its neighbours, evenly in log g; none beyond the largest."""
    index = tried.index(best)
    points: list[float] = []
    for other in (tried[index - 1], *tried[index + 1 : index + 2]):
        points += [best * (other / best) ** share for share in (1 / 3, 2 / 3)]
    return tuple(sorted(points))


def _vertex(tried: list[float], best: float, losses: dict[float, float]) -> float | None:
    """Minimum of the parabola through the best point and its neighbours.

    In g and not in log g: a change that acts linearly on a squared loss is then found exactly.
    """
    index = tried.index(best)
    if not 0 < index < len(tried) - 1:
        return None
    x = tried[index - 1 : index + 2]
    y = [losses[t] for t in x]
    if not all(map(math.isfinite, y)):
        return None
    left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    curvature = (right - left) / (x[2] - x[0])
    if curvature <= 0:
        return None
    vertex = (x[0] + x[1]) / 2 - left / (2 * curvature)
    return vertex if x[0] < vertex < x[2] and abs(vertex / best - 1) > RESOLUTION else None
