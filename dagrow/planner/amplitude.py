"""The line search for an amplitude factor (thesis 4.2, Algorithm 8): smooth in log g, about ten evaluations.

The search asks for a few amplitudes at a time, because one pass over the data serves them all.
Amplitudes are relative to the method's own scale, so nothing depends on the units of data or loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

FIRST = (1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
BELOW = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
ABOVE = (1e4, 1e5)
WIDENINGS = 4
MINIMUM_GAIN = 1e-6
"""Relative to the loss: below this, a drop in float32 is rounding."""


@dataclass
class AmplitudeSearch:
    """``argmin L(g)`` over g > 0, 0 where no amplitude lowers the loss.

    Attributes:
        scale: the amplitude that counts as 1.
        losses: what is known so far, by amplitude relative to the scale.
    """

    scale: float = 1.0
    losses: dict[float, float] = field(default_factory=dict)
    start: float = math.nan
    _refined: int = 0
    _widened: int = 0

    def ask(self) -> tuple[float, ...]:
        """The next relative amplitudes to try; empty when the search is over."""
        if not self.losses:
            return FIRST
        tried = sorted(self.losses)
        best = self._lowest()
        if best is None or best == tried[0]:
            if tried[0] > BELOW[0]:
                return tuple(t for t in BELOW if t < tried[0])
            if best is None or self._widened >= WIDENINGS:
                return ()
            self._widened += 1
            return (best / 100, best / 10)
        if best == tried[-1]:
            if best < ABOVE[-1]:
                return ABOVE
            if self._widened >= WIDENINGS:
                return ()
            self._widened += 1
            return (best * 10, best * 100)
        self._refined += 1
        if self._refined == 1:
            return _between(tried, best)
        if self._refined == 2:
            vertex = _vertex(tried, best, self.losses)
            return () if vertex is None else (vertex,)
        return ()

    def tell(self, losses: dict[float, float]) -> None:
        """Adds measured losses; what is no number counts as infinite."""
        self.losses.update({t: loss if math.isfinite(loss) else math.inf for t, loss in losses.items()})

    @property
    def amplitude(self) -> float:
        """The best amplitude so far, at its real scale; 0 rejects."""
        best = self._lowest()
        return 0.0 if best is None else best * self.scale

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


def _between(tried: list[float], best: float) -> tuple[float, ...]:
    """Two points on either side of the best, inside its neighbours, evenly in log g."""
    index = tried.index(best)
    points: list[float] = []
    for other in (tried[index - 1], tried[index + 1]):
        points += [best * (other / best) ** share for share in (1 / 3, 2 / 3)]
    return tuple(sorted(points))


def _vertex(tried: list[float], best: float, losses: dict[float, float]) -> float | None:
    """Minimum of the parabola through the best point and its neighbours in log g."""
    index = tried.index(best)
    if not 0 < index < len(tried) - 1:
        return None
    x = [math.log(t) for t in tried[index - 1 : index + 2]]
    y = [losses[t] for t in tried[index - 1 : index + 2]]
    if not all(map(math.isfinite, y)):
        return None
    left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    curvature = (right - left) / (x[2] - x[0])
    if curvature <= 0:
        return None
    vertex = math.exp((x[0] + x[1]) / 2 - left / (2 * curvature))
    return vertex if tried[index - 1] < vertex < tried[index + 1] and vertex != best else None
