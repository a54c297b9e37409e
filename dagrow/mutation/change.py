"""What an insertion changes, as frozen tensors: new features of a node, and updates of weights that exist.

A change is kept at unit size and scaled when it is tried and when it is made, so what was measured is
what is inserted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dagrow.build.edge_weight import EdgeWeights
from dagrow.graph import Structure
from dagrow.spec.graph import EdgeId


@dataclass(frozen=True)
class NewFeatures:
    """``K`` new features of a node.

    Attributes:
        node: which grows.
        fan_in: per incoming edge, ``K`` more rows of its weight and entries of its bias.
        fan_out: per edge that reads them, the columns of its weight.
        passed: concat nodes that hand them on and grow along.
        statistics: per node with a norm on the way, mean and variance of the new features before it.
        learned: per such node, weight and bias of its norm for them; 1 and 0 where left out.
    """

    node: str
    fan_in: EdgeWeights
    fan_out: dict[EdgeId, Tensor]
    passed: tuple[str, ...] = ()
    statistics: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    learned: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many features."""
        return len(next(iter(self.fan_in.values())).weight)

    def scaled(self, fan_in: float, fan_out: float) -> NewFeatures:
        """The same features with both sides multiplied."""
        return replace(
            self,
            fan_in={edge: weights.scaled(fan_in) for edge, weights in self.fan_in.items()},
            fan_out={edge: weight * fan_out for edge, weight in self.fan_out.items()},
        )

    def mirrored(self, signs: Tensor) -> NewFeatures:
        """``(alpha, omega)`` times a sign per feature; the effect at first order is the same where act is smooth."""
        fan_in = {edge: weights.per_output(signs) for edge, weights in self.fan_in.items()}
        fan_out = {}
        for edge, weight in self.fan_out.items():
            columns = signs.repeat_interleave(weight.shape[1] // signs.numel())
            fan_out[edge] = weight * columns.view(1, -1, *[1] * (weight.dim() - 2))
        statistics = dict(self.statistics)
        if self.node in statistics:
            mean, variance = statistics[self.node]
            statistics[self.node] = (mean * signs, variance)
        return replace(self, fan_in=fan_in, fan_out=fan_out, statistics=statistics)


@dataclass(frozen=True)
class WeightUpdate:
    """Something to add to the weights of the edges into a node."""

    node: str
    weights: EdgeWeights

    def scaled(self, factor: float) -> WeightUpdate:
        """The same update, multiplied."""
        return replace(self, weights={edge: weights.scaled(factor) for edge, weights in self.weights.items()})


@dataclass(frozen=True)
class Constant:
    """What an insertion does whatever its amplitude.

    Attributes:
        features: new features of the node that grows, which come before those that are scaled.
        updates: to weights that exist; minus the weights of an edge, where that edge is taken away.
        biases: of new edges that read new features.
    """

    features: NewFeatures | None = None
    updates: tuple[WeightUpdate, ...] = ()
    biases: dict[EdgeId, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """All that one insertion or removal does.

    Attributes:
        features: new features of one node.
        updates: of weights, new edges included.
        structure: nodes and edges that come and go.
        constant: what is not scaled.
    """

    features: NewFeatures | None = None
    updates: tuple[WeightUpdate, ...] = ()
    structure: Structure | None = None
    constant: Constant = Constant()

    @property
    def all_features(self) -> NewFeatures | None:
        """The new features, those that are not scaled first."""
        first, second = self.constant.features, self.features
        if first is None or second is None:
            return second if first is None else first
        fan_in = {e: weights.followed_by(second.fan_in[e]) for e, weights in first.fan_in.items()}
        fan_out = {e: torch.cat([w, second.fan_out[e]], dim=1) for e, w in first.fan_out.items()}
        return replace(first, fan_in=fan_in, fan_out=fan_out)

    @property
    def all_updates(self) -> tuple[WeightUpdate, ...]:
        """The updates, those that are not scaled first."""
        return (*self.constant.updates, *self.updates)
