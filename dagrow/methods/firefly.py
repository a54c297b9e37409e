"""Firefly: the steepest change of the function within a small ball of it (Wu, Wang, Stone & Liu, NeurIPS 2020).

The neighbours of a network (thesis 2.1.3) are those in which neurons are split,
``(act((theta + eps d)^T x) + act((theta - eps d)^T x)) / 2``, new neurons are added, ``eps act(d^T x)``, and skip
edges, likewise, each d in an l2 ball. All are optimised for what they take off the loss by a few gradient steps; then
the best are chosen and enter as they are, at the bound.

The loss is taken as linear in what the children get, which it is but for terms of order eps^2 times the curvature: a
candidate with effect ``e`` on the children's pre-activations is worth ``E[v_goal . e]``, each by itself. A split
changes nothing at first order in eps; its worth is of second order in eps d, or comes of the samples whose side of a
kink it changes. Behind a norm both halves have what the norm holds for the one neuron, as in the authors' code. Of a
new neuron's two sides only alpha is searched: within ``||omega|| <= eps l`` the best fan-out is ``eps l N / ||N||``,
with ``N = E[act(B alpha)^T v_goal]``. Of an edge it is the same without alpha.

What the ball is measured in is ours: the mean length of the fan-ins that are there (features in units of their
overall root mean square, as `random` has them) and that of the fan-outs, 1 in an empty node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dagrow.flop_counter import product
from dagrow.methods.decision_plot_data import Scene
from dagrow.methods.modes import FixedScale
from dagrow.methods.moments import EdgeMoments, MethodRequest, Neurons, NewWeights, SiteMoments
from dagrow.methods.trust_region import EPSILON, STEPS, BallSearchResult, TrustRegion
from dagrow.ties import best_first

NEW = (8, 64)
"""New neurons that are tried, at least and at most; as many as the effort allows."""
SPLITS = (8, 256)
"""Existing neurons whose split is tried, likewise."""
SAME = 0.95
"""Product of the cosines of outputs and of fan-outs above which two new neurons are one."""


def firefly(moments: SiteMoments, request: MethodRequest) -> Neurons:
    """The best of new neurons and of splits; scores are what each takes off a loss that is linear.

    A neuron is split once at most. Of a split, ``alpha`` is the step of the copy; the original makes the opposite one.
    """
    samples = moments.samples() if moments.samples is not None else None
    if samples is None or any(child.v_goal is None for child in samples.children):
        return Neurons.none(moments, "there are no samples to search on")
    if request.neurons < 1 or not samples.children or not samples.B.numel():
        return Neurons.none(moments, "there is nothing to read or to write")
    ball = TrustRegion.of(moments, samples)
    generator = torch.Generator().manual_seed(request.seed)
    affordable = request.effort / (6 * STEPS)
    with torch.no_grad():
        found = [ball.new_neurons(_within(affordable / ball.cost(ball.one_new), NEW), generator)]
        if len(ball.omega):
            found.append(
                ball.splits(_within(affordable / (3 * ball.cost(ball.sample_read_existing)), SPLITS), generator)
            )
    alpha, omega = torch.cat([part.alpha for part in found], 1), torch.cat([part.omega for part in found])
    scores, splits = torch.cat([part.scores for part in found]), torch.cat([part.splits for part in found])
    chosen = _best(ball, found[0], scores, request.neurons)
    if not chosen:
        return Neurons.none(moments, "nothing within the bound lowers the loss")
    splits = splits[chosen]
    own = splits if bool((splits >= 0).any()) else None
    why = None if own is None else SplitReport(tuple(sorted(j for j in splits.tolist() if j >= 0)))
    return Neurons(alpha[:, chosen], omega[chosen], scores[chosen], mode=FixedScale(own), why=why)


def firefly_edge(moments: EdgeMoments, request: MethodRequest) -> NewWeights | None:
    """The steepest weights of a new edge within the bound: along the gradient."""
    size, unit = float(moments.N.norm()), float(moments.squares.mean().sqrt())
    rounding = 8 * torch.finfo(moments.precision).eps * (float(moments.squares.sum()) * moments.v_goal_squared) ** 0.5
    if not unit > 0 or not size > rounding:
        return None
    length = EPSILON * (moments.written if moments.written > 0 else 1.0) / unit
    return NewWeights(length / size * moments.N.T, length * size)


@dataclass(frozen=True)
class SplitReport:
    """Why some neurons are no new ones: whose halves they are.

    Attributes:
        neurons: that were split, by their places in the node.
    """

    neurons: tuple[int, ...]

    def __str__(self) -> str:
        one = len(self.neurons) == 1
        return f"neuron{'' if one else 's'} {', '.join(map(str, self.neurons))} {'is' if one else 'are'} split"

    @property
    def entry(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {"split": list(self.neurons)}

    @property
    def scene(self) -> Scene | None:
        """Nothing to be drawn."""
        return None


def _within(wanted: float, bounds: tuple[int, int]) -> int:
    """The number wanted, or the nearest within the bounds."""
    return min(max(int(wanted), bounds[0]), bounds[1])


def _best(ball: TrustRegion, new: BallSearchResult, scores: Tensor, count: int) -> list[int]:
    """The candidates with the highest scores above 0; new neurons, which come first, that are one count once."""
    W = (new.alpha / ball.unit.unsqueeze(1)).to(ball.E)
    outputs = ball.samples.activate(product(ball.E, W)).flatten(0, 1)
    alike = _cosines(outputs.double().T) * _cosines(new.omega) > SAME
    chosen: list[int] = []
    values = scores.nan_to_num(0.0).tolist()
    for index in best_first(range(len(values)), values.__getitem__, lambda index: index):
        if len(chosen) == count or not float(scores[index]) > 0:
            break
        rivals = [other for other in chosen if max(index, other) < len(alike)]
        if not bool(alike[index, rivals].any() if rivals else False):
            chosen.append(index)
    return chosen


def _cosines(rows: Tensor) -> Tensor:
    """``[k, k]``, between any two of them."""
    unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
    return product(unit, unit.T)
