"""The weights that a run starts from: a table of functions that draw them anew; who brings one registers it."""

from __future__ import annotations

from collections.abc import Callable

from dagrow.build import Network
from dagrow.registry import Registry


def _as_built(network: Network, seed: int) -> None:
    """As torch starts each layer: `dagrow.build` has done that."""


INITIAL_WEIGHTS: Registry[Callable[[Network, int], None]] = Registry("initial weights", {"torch": _as_built})
"""Draws the weights of a new network by a seed, in place."""
