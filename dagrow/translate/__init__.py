"""A captured module written in the graph language, where it fits: its graph, and its weights in the network of that."""

from dagrow.translate.network import network_of

__all__ = ["network_of"]
