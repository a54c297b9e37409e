"""How new channels lie along the axis of a weight that writes them: one entry each, or several, as one per head.

Symbols: ``P`` entries per channel, ``K`` new channels. Along the axis the entries stand part by part of a packed
tensor, in each part ``[before, K, after]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.capture import Dim, atoms
from dagrow.module_growth.linear_map import Block, block_of


@dataclass(frozen=True)
class Rows:
    """Entries of one channel along an axis.

    Attributes:
        parts: of the axis, in its order.
        spans: of each part, first and last old entry along the axis.
    """

    parts: tuple[Block, ...]
    spans: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """P."""
        return sum(part.places for part in self.parts)

    def arranged(self, entries: Tensor) -> Tensor:
        """``[P, K, ...]`` in the order of the axis, ``[P K, ...]``."""
        found, start = [], 0
        for part in self.parts:
            own = entries[start : start + part.places]
            start += part.places
            own = own.reshape(part.before, part.after, *entries.shape[1:]).transpose(1, 2)
            found.append(own.reshape(-1, *entries.shape[2:]))
        return torch.cat(found)

    def taken_apart(self, axis: Tensor) -> Tensor:
        """The inverse of `arranged`: ``[P K, ...]`` as ``[P, K, ...]``."""
        count = len(axis) // self.count
        order = self.arranged(torch.arange(len(axis), device=axis.device).view(self.count, count))
        found = torch.empty_like(axis)
        found[order] = axis
        return found.view(self.count, count, *axis.shape[1:])

    def old(self, axis: Tensor) -> Tensor:
        """The entries that there are along the axis, of this space alone, by entry of a channel, ``[P, d, ...]``."""
        return self.taken_apart(torch.cat([axis[start:stop] for start, stop in self.spans]))

    def same(self, channels: Tensor) -> Tensor:
        """``[..., K]`` as every entry of the axis, ``[..., P K]``: the same for all entries of a channel."""
        entries = channels.movedim(-1, 0)
        return self.arranged(entries.unsqueeze(0).expand(self.count, *entries.shape)).movedim(0, -1)


def rows_of(dim: Dim, growing: frozenset[Dim]) -> Rows | None:
    """How the new channels of a space lie in a dimension; None where several factors of a part are of the space.

    Args:
        dim: of a weight.
        growing: atoms of the space.
    """
    dim = dim.now
    parts = dim.parts if dim.kind == "concat" else (dim,)
    blocks, spans, stop = [], [], 0
    for part in parts:
        start, stop = stop, stop + part.now.size
        inside = [atom for atom in atoms(part) if atom in growing]
        if not inside:
            continue
        block = block_of(part, inside[0]) if len(inside) == 1 else None
        if block is None:
            return None
        blocks.append(block)
        spans.append((start, stop))
    return Rows(tuple(blocks), tuple(spans)) if blocks else None
