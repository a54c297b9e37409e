"""A control: computed weights are replaced by random ones of equal norms at the same place."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dagrow.build.edge_weight import EdgeWeight
from dagrow.mutation.change import Change, NewFeatures, WeightUpdate
from dagrow.spec.graph import EdgeId


def redirected(change: Change) -> Change:
    """The change with Gaussian weights in place of its new ones: what its directions are worth is what is lost.

    Each new feature keeps the norm of its fan-in and that of its fan-out, each new edge that of its weights. Updates
    of weights that were there go with the directions, and are left out. The draw depends on the weights alone.
    """
    new = change.structure.edges if change.structure else {}
    updates = [_of_new_edges(update, tuple(new)) for update in change.updates]
    features = change.features
    return replace(
        change,
        features=features and _features(features),
        updates=tuple(_update(update) for update in updates if update.weights),
    )


def _of_new_edges(update: WeightUpdate, new: Sequence[EdgeId]) -> WeightUpdate:
    return replace(update, weights={edge: weights for edge, weights in update.weights.items() if edge in new})


def _update(update: WeightUpdate) -> WeightUpdate:
    drawn = {}
    for edge, (weight, bias) in update.weights.items():
        together = weight.flatten() if bias is None else torch.cat([weight.flatten(), bias])
        row = _drawn(together.unsqueeze(0)).squeeze(0)
        drawn[edge] = EdgeWeight(row[: weight.numel()].view_as(weight), None if bias is None else row[weight.numel() :])
    return replace(update, weights=drawn)


def _features(features: NewFeatures) -> NewFeatures:
    count, parts = features.count, []
    for weight, bias in features.fan_in.values():
        parts += [weight.flatten(1), *([] if bias is None else [bias.unsqueeze(1)])]
    rows = iter(torch.split(_drawn(torch.cat(parts, 1)), [part.shape[1] for part in parts], dim=1))
    fan_in = {
        edge: EdgeWeight(next(rows).reshape(weight.shape), None if bias is None else next(rows).squeeze(1))
        for edge, (weight, bias) in features.fan_in.items()
    }
    outs = [_by_feature(weight, count) for weight in features.fan_out.values()]
    columns = torch.split(_drawn(torch.cat(outs, 1)), [part.shape[1] for part in outs], dim=1)
    pairs = zip(features.fan_out.items(), columns, strict=True)
    return replace(
        features, fan_in=fan_in, fan_out={edge: _by_target(rows, weight, count) for (edge, weight), rows in pairs}
    )


def _by_feature(weight: Tensor, count: int) -> Tensor:
    """``[M, K * positions, ...]`` as one row for each of the K features."""
    return weight.reshape(weight.shape[0], count, -1).transpose(0, 1).flatten(1)


def _by_target(rows: Tensor, weight: Tensor, count: int) -> Tensor:
    """The inverse of `_by_feature`, in the shape of the weight."""
    return rows.view(count, weight.shape[0], -1).transpose(0, 1).reshape(weight.shape)


def _drawn(rows: Tensor) -> Tensor:
    """Gaussian rows of the norms of these."""
    generator = torch.Generator().manual_seed(zlib.crc32(rows.detach().cpu().contiguous().numpy().tobytes()))
    drawn: Tensor = torch.randn(rows.shape, generator=generator, dtype=torch.float64).to(rows.device)
    scale = rows.double().norm(dim=1, keepdim=True) / drawn.norm(dim=1, keepdim=True).clamp(min=1e-300)
    return torch.mul(drawn, scale).to(rows.dtype)
