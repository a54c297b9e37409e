"""Layers by themselves: what they are linear in, and what their own weights can do of what is wanted of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.methods import CONSTANT, Metric, best_update
from dagrow.module_growth.linear_map import LinearMap
from dagrow.module_growth.way import Way

MOST_FEATURES = 3000
"""A reader with more features is not fitted first: its ``v_proj`` is its ``v_goal``."""


@dataclass
class ReaderMoments:
    """Of one layer that reads: its features with a constant, against its desired update; sums, float64."""

    S: Tensor
    N: Tensor


def features_of(writer: LinearMap, weight: Tensor, x: Tensor) -> Tensor:
    """What a layer's outputs are linear in, with a constant where it has a bias, in place of its outputs.

    Args:
        writer: the layer.
        weight: of it.
        x: its input.
    """
    found = writer.features(x, weight)
    if writer.bias is None:
        return found
    return torch.cat([found, torch.ones_like(found.narrow(writer.channels, 0, 1))], writer.channels)


def add_reader(
    found: dict[str, ReaderMoments], name: str, map_: LinearMap, weight: Tensor, x: Tensor, v: Tensor
) -> None:
    """Adds some samples to the sums of a layer; one with too many features is left out.

    Args:
        found: sums by name.
        name: of the layer's node.
        map_: the layer.
        weight: of it.
        x: its input.
        v: desired update of its output.
    """
    if weight.numel() // weight.shape[map_.out_axis] > MOST_FEATURES:
        return
    rows = map_.last(map_.features(x, weight)).flatten(0, 1)
    rows = torch.cat([rows, rows.new_ones(len(rows), 1 if map_.bias else 0)], 1)
    goal = map_.last(v).flatten(0, 1)
    S, N = (rows.T @ rows).double(), (rows.T @ goal).double()
    if name not in found:
        found[name] = ReaderMoments(torch.zeros_like(S), torch.zeros_like(N))
    found[name].S += S
    found[name].N += N


def update_of(
    found: ReaderMoments, samples: int, shrinkage: float, map_: LinearMap, tensors: Mapping[str, Tensor]
) -> Tensor:
    """The best update of a layer's weight and bias, ``[outputs, F + 1]``.

    Args:
        found: sums over samples.
        samples: how many.
        shrinkage: of the metric.
        map_: the layer.
        tensors: of the module.
    """
    units = torch.zeros(len(found.S), dtype=torch.long, device=found.S.device)
    if map_.bias:
        units[-1] = CONSTANT
    metric = Metric(found.S / samples, shrinkage, tensors[map_.name].dtype, units)
    return best_update(metric, found.N / samples)


def left_over(map_: LinearMap, weight: Tensor, x: Tensor, v: Tensor, update: Tensor | None) -> Tensor:
    """``v_proj``: what a layer's own weights leave of ``v_goal``.

    Args:
        map_: the layer.
        weight: of it.
        x: its input.
        v: desired update of its output.
        update: of its weights; None leaves all.
    """
    if update is None:
        return v
    count = weight.numel() // weight.shape[map_.out_axis]
    done = map_.apply(x, map_.weight(update[:, :count].to(v), weight))
    if map_.bias:
        shape = [1] * v.dim()
        shape[map_.channels] = -1
        done = done + update[:, -1].to(v).view(shape)
    return v - done


def existing_rows(flow: Way, writer: LinearMap, tensors: Mapping[str, Tensor]) -> Tensor:
    """``[P, d, F]`` the rows of each entry that are there, the constant last.

    Args:
        flow: of the space.
        writer: a layer that writes it.
        tensors: of the module.
    """
    rows = writer.rows(tensors[writer.name].detach().double())
    if writer.bias is not None:
        rows = torch.cat([rows, tensors[writer.bias].detach().double().unsqueeze(1)], 1)
    return flow.rows[writer].old(rows)
