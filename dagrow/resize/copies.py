"""Net2Net: new channels are copies of old ones, and what reads them shares its weights (Chen et al., ICLR 2016).

The shares of a channel and its copies are drawn, not equal: the function is the same, and training tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.capture import Dim, Role, atoms
from dagrow.resize.start import Start

LEAST_SHARE = 0.25
"""Of an equal one that a channel or copy has."""


@dataclass(frozen=True)
class Origin:
    """Where the entries of a grown dimension come from.

    Attributes:
        index: ``[new extent]``, which old entry each is, or is a copy of.
        share: ``[new extent]``, of the weight that reads it.
    """

    index: Tensor
    share: Tensor


@dataclass(frozen=True)
class Copies(Start):
    """New channels as copies of old ones."""

    def value(self, name: str, old: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """The new value of a tensor, and per axis where its old entries are now."""
        _, moved = super().value(name, old)
        sources = {dim: self._drawn_shares(space.size) for space in self.spaces for dim in space.dims}
        new = old
        for axis, dim in enumerate(self.analysis.tensors[name]):
            if moved[axis] is None:
                continue
            found = _origin(dim, sources)
            new = new.index_select(axis, found.index.to(old.device))
            if Role.READ in self.roles(name, axis):
                shape = [-1 if i == axis else 1 for i in range(new.dim())]
                new = new * found.share.to(new).view(shape)
        return new.contiguous(), moved

    def _drawn_shares(self, size: int) -> Origin:
        generator = torch.Generator().manual_seed(self.seed)
        rounds = -(-self.count // size)
        chosen = torch.cat([torch.randperm(size, generator=generator) for _ in range(rounds)])[: self.count]
        index = torch.cat([torch.arange(size), chosen])
        weights = LEAST_SHARE + torch.rand(len(index), generator=generator, dtype=torch.float64)
        total = torch.zeros(size, dtype=torch.float64).index_add(0, index, weights)
        return Origin(index, weights / total[index])


def _origin(dim: Dim, sources: Mapping[Dim, Origin]) -> Origin:
    dim = dim.now
    if dim.kind == "atom":
        plain = Origin(torch.arange(dim.size), torch.ones(dim.size, dtype=torch.float64))
        return sources.get(dim, plain)
    if not any(atom in sources for atom in atoms(dim)):
        return Origin(torch.arange(dim.size), torch.ones(dim.size, dtype=torch.float64))
    parts = [(part.now.size, _origin(part, sources)) for part in dim.parts]
    if dim.kind == "concat":
        indices, start = [], 0
        for size, part in parts:
            indices.append(part.index + start)
            start += size
        return Origin(torch.cat(indices), torch.cat([part.share for _, part in parts]))
    index, share = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.float64)
    for size, part in parts:
        index = (index.unsqueeze(1) * size + part.index).flatten()
        share = (share.unsqueeze(1) * part.share).flatten()
    return Origin(index, share)
