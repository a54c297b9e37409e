"""What a candidate was measured on, and whether a network still is that."""

from __future__ import annotations

from dataclasses import dataclass

from dagrow.build import Network, WeightsFingerprint
from dagrow.spec.graph import GraphSpec


@dataclass(frozen=True)
class Origin:
    """A graph with its weights.

    Attributes:
        spec: the graph.
        weights: what tells them from others.
    """

    spec: GraphSpec
    weights: WeightsFingerprint

    @classmethod
    def of(cls, network: Network) -> Origin:
        """A network as it is now."""
        return cls(network.spec, WeightsFingerprint.of(network))

    def difference(self, network: Network) -> str:
        """What has changed since, with ``{}`` for the candidate; empty where nothing has.

        Args:
            network: the same, or a copy.
        """
        if network.spec != self.spec:
            return "the network has changed since {} was measured; propose again"
        if not self.weights.fits(network):
            return "the weights have changed since {} was measured, by training or another insertion; propose again"
        return ""
