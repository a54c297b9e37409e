"""What the norms that the features of a node pass hold for some of them: its own, and those of concats."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dagrow.build.module import Network
from dagrow.graph import Dag, GrowableNode, in_concat
from dagrow.ops import NORMS


class NormEntries(NamedTuple):
    """What one norm holds for some features: one entry each, or one per position of a flattened map.

    Attributes:
        statistics: running mean and variance.
        learned: weight and bias; None where the norm has none.
    """

    statistics: tuple[Tensor, Tensor]
    learned: tuple[Tensor, Tensor] | None


def norm_entries(network: Network, place: GrowableNode, features: Tensor) -> dict[str, NormEntries]:
    """Per norm on the way, what it holds for some features.

    Args:
        network: with the node in it.
        place: the node, and what reads it.
        features: ``[K]`` their indices.
    """
    found = {}
    for name in (place.node, *place.passed):
        if (norm := network.dag.node(name).norm) != "none":
            index, state = norm_entries_of(network.dag, place, name, features), network.get_submodule(f"{name}.norm")
            mean, variance = (state.get_buffer(key).detach()[index] for key in ("running_mean", "running_var"))
            learned = None
            if NORMS[norm].parameters_per_feature:
                learned = (state.get_parameter("weight").detach()[index], state.get_parameter("bias").detach()[index])
            found[name] = NormEntries((mean, variance), learned)
    return found


def norm_entries_of(dag: Dag, place: GrowableNode, name: str, features: Tensor) -> Tensor:
    """Which entries of the norm of ``name``, the node itself or a concat that it passes, are those of some features."""
    if name == place.node:
        return features
    reading = next(r for r in place.readings if name in r.through)
    first, width = in_concat(dag, place.node, reading, reading.through.index(name))
    return (first + features.unsqueeze(1) * width + torch.arange(width, device=features.device)).flatten()
