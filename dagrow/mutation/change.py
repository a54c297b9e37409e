"""What an insertion changes, as frozen tensors: new features of a node, and updates of weights that exist.

A change is kept at unit size and scaled when it is tried and when it is made, so what was measured is
what is inserted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from dagrow.spec.graph import EdgeId

EdgeWeights = dict[EdgeId, tuple[Tensor, Tensor | None]]
"""Per edge, a weight and, where it carries one, a bias."""


@dataclass(frozen=True)
class NewFeatures:
    """``K`` new features of a node.

    Attributes:
        node: which grows.
        fan_in: per incoming edge, ``K`` more rows of its weight and entries of its bias.
        fan_out: per edge that reads them, the columns of its weight.
        passed: concat nodes that hand them on and grow along.
        statistics: per node with a norm on the way, mean and variance of the new features before it.
    """

    node: str
    fan_in: EdgeWeights
    fan_out: dict[EdgeId, Tensor]
    passed: tuple[str, ...] = ()
    statistics: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many features."""
        return next(iter(self.fan_in.values()))[0].shape[0]

    def scaled(self, fan_in: float, fan_out: float) -> NewFeatures:
        """The same features with both sides multiplied."""
        return replace(
            self,
            fan_in=_scaled(self.fan_in, fan_in),
            fan_out={edge: weight * fan_out for edge, weight in self.fan_out.items()},
        )

    def mirrored(self, signs: Tensor) -> NewFeatures:
        """``(alpha, omega)`` times a sign per feature; the effect at first order is the same where act is smooth."""
        fan_in: EdgeWeights = {
            edge: (weight * signs.view(-1, *[1] * (weight.dim() - 1)), None if bias is None else bias * signs)
            for edge, (weight, bias) in self.fan_in.items()
        }
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
        return replace(self, weights=_scaled(self.weights, factor))


@dataclass(frozen=True)
class Change:
    """All that one insertion does."""

    features: NewFeatures | None = None
    updates: tuple[WeightUpdate, ...] = ()


def _scaled(weights: EdgeWeights, factor: float) -> EdgeWeights:
    return {e: (w * factor, None if b is None else b * factor) for e, (w, b) in weights.items()}
