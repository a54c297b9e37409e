"""Features that are copies of neurons: behind a norm they have what it holds for their originals."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.norm_entries import norm_entries
from dagrow.graph import GrowableNode
from dagrow.mutation import NewFeatures

Pair = tuple[Tensor, Tensor]


def with_norms(network: Network, place: GrowableNode, features: NewFeatures, copied: Tensor) -> NewFeatures:
    """The features, as many as are told of, with the norms of their originals.

    Args:
        network: with the originals in it.
        place: where they are.
        features: with statistics of their own before some norms, or all; those that are told of come first.
        copied: ``[K]`` which neuron each is a copy of, -1 for none: those keep their own.
    """
    statistics, learned = dict(features.statistics), dict(features.learned)
    for name, own in norm_entries(network, place, copied.clamp(min=0)).items():
        if name in statistics:
            statistics[name] = _chosen(copied, own.statistics, statistics[name])
            if own.learned is not None:
                weight, bias = own.learned
                learned[name] = _chosen(copied, own.learned, (torch.ones_like(weight), torch.zeros_like(bias)))
    return replace(features, statistics=statistics, learned=learned)


def _chosen(copied: Tensor, kept: Pair, own: Pair) -> Pair:
    """Entries of originals for copies, their own for others; a flattened feature has one per position."""
    copies = (copied >= 0).repeat_interleave(len(kept[0]) // len(copied))
    first, second = (torch.where(copies, a, b[: len(a)]) for a, b in zip(kept, own, strict=True))
    return first, second
