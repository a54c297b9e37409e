"""The free direction of a crease: which fan-in through the fold point, by GradMax and by alignment of its gradient.

After J. Kang's slides (2025), algorithm "Hidden Layer Broaden". By Lemma 1 a new unit is 0 on the whole crease if and
only if its fan-in is ``alpha w + beta u``: w the normal of the boundary, u the free direction, orthogonal to w. Of
unit vectors that is one angle, ``cos(angle) e + sin(angle) u``, with e along ``b_t - b_f`` (in the first layer that is
w), what the layer reads at the instance less what it reads at the fold point. The bias holds the unit at 0 at b_f.

GradMax: the gradient of the loss in the fan-in, ``G = E[1(unit is on) (w_B . dl/da) (b - b_f)]``, is to be as long as
can be. It is that of a small fan-out w_B, since one of 0 has none (Lemma 5), and of the fan-in and the bias together,
which the fold point ties: so it does not depend on where the inputs have their 0. In the angle it is constant between
those at which a sample switches, so all angles are tried exactly. Of u the slides say no more than that it is
orthogonal: here it is where G at ``beta = 0`` points, downhill.

Alignment: within the best arc, the angle at which the step that gradient descent takes in all fan-ins of the layer
moves the instance, seen from the fold point, most nearly as the fan-ins see it: the cosine of ``-dW (b_t - b_f)`` and
``W (b_t - b_f)``. The slides write ``dW x_t``; without the fold point that hangs on where the inputs have their 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from dagrow.contrib.folding.relu_chain import LabelledPredictions, ReluChain
from dagrow.ties import first_best

_INSET = 0.01
"""Part of an arc that is left free at each end: at the very end the crease goes through a sample."""


@dataclass(frozen=True)
class Direction:
    """A fan-in of length 1.

    Attributes:
        vector: ``[F]``.
        angle: between it and the normal, in radians, below ``pi / 2``: the unit is on at the instance.
        free: ``[F]``, u; None where there is none, as with one input.
    """

    vector: Tensor
    angle: float = 0.0
    free: Tensor | None = None


@dataclass(frozen=True)
class Arcs:
    """The angles from ``-pi / 2`` to ``pi / 2``, cut where samples switch.

    Attributes:
        ends: ``[arcs + 1]``.
        gradients: ``[arcs, F]``, G on each.
    """

    ends: Tensor
    gradients: Tensor

    @classmethod
    def of(cls, d: Tensor, s: Tensor, e: Tensor, u: Tensor) -> Arcs:
        """All arcs.

        Args:
            d: ``[n, F]``, what the layer reads of samples less what it reads of the fold point.
            s: ``[n]``, by how much the loss of each rises with the output of the new unit.
            e: ``[F]``, the normal; of length 1.
            u: ``[F]``, the free direction; likewise.
        """
        p, q = d @ e, d @ u
        # A sample is on where p cos + q sin > 0: it switches once, on the way up if q is above 0.
        switching = q != 0
        at = torch.atan2(-p[switching] * q[switching].sign(), q[switching].abs())
        order = at.argsort(stable=True)
        terms = s[:, None] * d
        first = terms[(q < 0) | ((q == 0) & (p > 0))].sum(0)
        switched = (q[switching].sign()[:, None] * terms[switching])[order]
        gradients = torch.cat([first[None], first + switched.cumsum(0)]) / len(d)
        half = at.new_tensor([pi / 2])
        return cls(torch.cat([-half, at[order], half]), gradients)

    def steepest(self) -> tuple[float, float, Tensor]:
        """The two ends of the arc with the longest gradient, and the gradient; of equal ones the nearest to 0."""
        low, high = self.ends[:-1], self.ends[1:]
        distance = torch.maximum(low.clamp(min=0), (-high).clamp(min=0))
        order = distance.argsort(stable=True)
        # An arc without extent is no place for an angle.
        length = torch.where(high - low > 1e-9, self.gradients.norm(dim=1), -torch.inf)
        best = int(order[first_best(length[order])])
        return float(low[best]), float(high[best]), self.gradients[best]


def broadened(
    chain: ReluChain, samples: LabelledPredictions, layer: int, away: Tensor, origin: Tensor, fan_out: Tensor
) -> Direction:
    """The direction of the fan-in that GradMax and alignment choose.

    Args:
        chain: the network.
        samples: with gradients.
        layer: that gets the unit.
        away: ``[F]``, ``b_t - b_f``.
        origin: ``[F]``, ``b_f``.
        fan_out: ``[M]``, of the new unit.
    """
    assert samples.gradient is not None
    e = away / away.norm()
    b = chain.read(samples.x, layer)
    d = b - origin
    s = chain.gradients(samples.x, samples.gradient, layer + 1) @ fan_out
    G = ((d @ e > 0) * s) @ d / len(d)
    free = -(G - (G @ e) * e)
    if not float(free.norm()) > 1e-12 * float(G.norm()):
        return Direction(e)
    u = free / free.norm()
    low, high, steepest = Arcs.of(d, s, e, u).steepest()
    deltas = chain.gradients(samples.x, samples.gradient, layer)
    moved = -(deltas.T @ b @ away) / len(b)
    length = chain.usual_fan_in(layer)
    angle = aligned(low, high, moved, chain.weights[layer] @ away, (-steepest @ away, length * away.norm()))
    vector = torch.cos(e.new_tensor(angle)) * e + torch.sin(e.new_tensor(angle)) * u
    return Direction(vector, angle, u)


def aligned(low: float, high: float, moved: Tensor, seen: Tensor, new: tuple[Tensor, Tensor]) -> float:
    """The angle between two at which the step moves the instance most nearly as the fan-ins see it.

    Args:
        low: end of the arc, in radians.
        high: the other end.
        moved: ``[units]``, by how much the step moves what each unit of the layer sees of the instance.
        seen: ``[units]``, what each sees.
        new: by how much it moves that of the new unit, and what that sees at angle 0: at others the cosine of it.
    """
    by, at = float(new[0]), float(new[1])
    both, square = float(moved @ seen), float(seen @ seen)
    size = (float(moved @ moved) + by**2) ** 0.5
    inset = _INSET * (high - low)
    first, last = low + inset, high - inset
    nearest = min(max(0.0, first), last)
    angles = [nearest, first, last]
    # Where the cosine (both + by t) / (size sqrt(square + t^2)) of t = at cos(angle) is stationary.
    if both != 0 and 0 < by * square / both < at:
        turn = float(torch.acos(torch.tensor(by * square / both / at, dtype=torch.float64)))
        angles += [angle for angle in (turn, -turn) if first <= angle <= last]
    if size == 0:
        return nearest
    t = at * torch.cos(torch.tensor(angles, dtype=torch.float64))
    # From -1 to 1, moved up so that agreeing values are told by their size.
    return angles[first_best((both + by * t) / (size * (square + t.square()).sqrt().clamp(min=1e-300)) + 2)]
