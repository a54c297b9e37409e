"""Edits of tensors: the new value, and where the old entries went."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Edit:
    """One parameter or buffer of the network takes a new value.

    Attributes:
        name: its key in the state dict.
        value: the new value; dtype and device of the old one.
        places: per axis, where each old entry of that axis sits now, -1 if it is gone; None where the axis is
            unchanged.
    """

    name: str
    value: Tensor
    places: tuple[Tensor | None, ...]

    def carry(self, old: Tensor, fresh: Tensor) -> Tensor:
        """``fresh`` with the entries of ``old`` put where they belong now.

        Args:
            old: of the parameter's old shape, or of extent 1 along axes that it does not tell apart.
            fresh: likewise, of the new shape.
        """
        moved = fresh.clone()
        axes = []
        for axis, (place, told, now) in enumerate(zip(self.places, fresh.shape, self.value.shape, strict=True)):
            if place is None or told == 1 != now or old.shape[axis] != len(place):
                axes.append(torch.arange(old.shape[axis], device=old.device))
                continue
            kept = (place >= 0).nonzero().flatten()
            old = old.index_select(axis, kept.to(old.device))
            axes.append(place[kept].to(old.device))
        moved[torch.meshgrid(*axes, indexing="ij")] = old.to(fresh.dtype)
        return moved


def insert(name: str, old: Tensor, axis: int, at: int, block: Tensor) -> Edit:
    """Puts ``block`` between the entries ``at - 1`` and ``at`` of one axis."""
    block = block.to(old)
    count, size = block.shape[axis], old.shape[axis]
    value = in_layout_of(old, torch.cat([old.narrow(axis, 0, at), block, old.narrow(axis, at, size - at)], dim=axis))
    place = torch.arange(size)
    place[at:] += count
    return Edit(name, value, tuple(place if i == axis else None for i in range(old.dim())))


def removed(name: str, old: Tensor, axis: int, gone: Tensor) -> Edit:
    """Takes entries of one axis away.

    Args:
        name: of the tensor.
        old: as it is.
        axis: of the entries.
        gone: ``[extent of the axis]``, whether each goes.
    """
    kept = (~gone).nonzero().flatten().cpu()
    place = torch.full((old.shape[axis],), -1)
    place[kept] = torch.arange(len(kept))
    value = in_layout_of(old, old.index_select(axis, kept.to(old.device)))
    return Edit(name, value, tuple(place if i == axis else None for i in range(old.dim())))


def added(name: str, old: Tensor, change: Tensor) -> Edit:
    """Adds ``change`` to a tensor; every entry stays where it is."""
    return Edit(name, in_layout_of(old, old + change.to(old)), (None,) * old.dim())


def in_layout_of(like: Tensor, value: Tensor) -> Tensor:
    """The value with its axes in memory in the order of another tensor's: ``channels_last`` and its like stay."""
    # Axes of extent 1 have no place of their own in memory; they go inwards.
    order = sorted(range(like.dim()), key=lambda axis: (-like.stride()[axis], -like.shape[axis], axis))
    back = sorted(range(like.dim()), key=order.__getitem__)
    return value.permute(order).contiguous().permute(back)
