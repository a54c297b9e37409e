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
        places: per axis, where each old entry of that axis sits now; None where the axis is unchanged.
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
        axes = [
            torch.arange(size, device=old.device) if place is None or told == 1 != now else place.to(old.device)
            for size, place, told, now in zip(old.shape, self.places, fresh.shape, self.value.shape, strict=True)
        ]
        moved[torch.meshgrid(*axes, indexing="ij")] = old.to(fresh.dtype)
        return moved


def insert(name: str, old: Tensor, axis: int, at: int, block: Tensor) -> Edit:
    """Puts ``block`` between the entries ``at - 1`` and ``at`` of one axis."""
    block = block.to(old)
    count, size = block.shape[axis], old.shape[axis]
    value = torch.cat([old.narrow(axis, 0, at), block, old.narrow(axis, at, size - at)], dim=axis)
    place = torch.arange(size)
    place[at:] += count
    return Edit(name, value, tuple(place if i == axis else None for i in range(old.dim())))


def added(name: str, old: Tensor, change: Tensor) -> Edit:
    """Adds ``change`` to a tensor; every entry stays where it is."""
    return Edit(name, old + change.to(old), (None,) * old.dim())
