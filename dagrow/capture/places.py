"""Where the entries of a dimension are once some of its atoms have grown: one function for views, concats and packs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from dagrow.capture.dims import Dim, atoms


class Places(NamedTuple):
    """The entries of a grown dimension.

    Attributes:
        old: ``[new extent]`` integers, which old entry each is; -1 for a new one.
        part: ``[new extent]`` integers, in which part of a packed dimension each is; 0 where nothing is packed.
        cause: ``[new extent]`` integers, because of which growing atom each is new, by its number; -1 for an old one.
    """

    old: Tensor
    part: Tensor
    cause: Tensor

    @property
    def new(self) -> Tensor:
        """``[new extent]``, whether each entry is new."""
        return self.old < 0

    @property
    def moved(self) -> Tensor:
        """``[old extent]`` integers, where each old entry is now."""
        kept = (self.old >= 0).nonzero().squeeze(1)
        moved = torch.empty(len(kept), dtype=torch.long)
        moved[self.old[kept]] = kept
        return moved


def places(dim: Dim, growth: Mapping[Dim, int]) -> Places:
    """The entries of a dimension once its atoms have grown; new entries of an atom come behind its old ones.

    Args:
        dim: any.
        growth: new entries per atom; an atom that is left out stays.
    """
    dim = dim.now
    if dim.kind == "atom":
        old = torch.cat([torch.arange(dim.size), torch.full((growth.get(dim, 0),), -1)])
        part = torch.arange(len(old)) if dim.packed else torch.zeros_like(old)
        return Places(old, part, torch.where(old < 0, list(growth).index(dim) if dim in growth else -1, -1))
    inner = [(part.now.size, places(part, growth)) for part in dim.parts]
    if dim.kind == "concat":
        olds, parts, causes, start, first = [], [], [], 0, 0
        for size, found in inner:
            olds.append(torch.where(found.new, -1, found.old + start))
            parts.append(found.part + first)
            causes.append(found.cause)
            start, first = start + size, first + _count(found)
        return Places(torch.cat(olds), torch.cat(parts), torch.cat(causes))
    old, part, cause = (torch.full((1,), value) for value in (0, 0, -1))
    for size, found in inner:
        new = (old < 0).unsqueeze(1) | found.new
        old = torch.where(new, -1, old.unsqueeze(1) * size + found.old).flatten()
        part = (part.unsqueeze(1) * _count(found) + found.part).flatten()
        cause = torch.where(cause.unsqueeze(1) >= 0, cause.unsqueeze(1), found.cause).flatten()
    return Places(old, part, cause)


def extent(dim: Dim, growth: Mapping[Dim, int]) -> int:
    """The extent of a dimension once its atoms have grown."""
    dim = dim.now
    if dim.kind == "atom":
        return dim.size + growth.get(dim, 0)
    sizes = [extent(part, growth) for part in dim.parts]
    if dim.kind == "concat":
        return sum(sizes)
    total = 1
    for size in sizes:
        total *= size
    return total


def new_extent(dim: Dim, growth: Mapping[Dim, int]) -> int:
    """How many entries a dimension has if each growing atom had its new entries alone; 0 if none is in it.

    In a concatenation parts without a growing atom are left out.
    """
    dim = dim.now
    if dim.kind == "atom":
        return growth.get(dim, 0)
    if dim.kind == "concat":
        return sum(new_extent(part, growth) for part in dim.parts)
    if not any(atom in growth for atom in atoms(dim)):
        return 0
    total = 1
    for part in dim.parts:
        grows = any(atom in growth for atom in atoms(part))
        total *= new_extent(part, growth) if grows else part.now.size
    return total


def _count(found: Places) -> int:
    return int(found.part.max()) + 1 if len(found.part) else 0
