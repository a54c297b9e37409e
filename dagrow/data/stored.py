"""Samples that are not in memory: they are read where they are wanted, a batch at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from dagrow.layout import Shape

_PIECE = 2**22  # values
_CPU = torch.device("cpu")


class SampleStore(ABC):
    """Where samples lie: a file, or a folder of them."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """Of all samples, ``[samples, ...]``."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Of what `read` gives."""

    @abstractmethod
    def read(self, index: Tensor) -> Tensor:
        """Some samples, in this order, on the CPU.

        Args:
            index: ``[n]``, whole numbers from 0.

        Raises:
            DataError: if they cannot be read.
        """

    @property
    def settles(self) -> bool:
        """Whether the samples are to be taken into memory before training: they cannot be read in any order."""
        return False

    def parts(self, index: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Goes through some samples in the order that costs least.

        Yields:
            Places in ``index``, and the samples that belong there.
        """
        size = max(1, _PIECE // max(1, prod(self.shape[1:])))
        for start in range(0, len(index), size):
            places = torch.arange(start, min(start + size, len(index)))
            yield places, self.read(index[places])


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Some samples of a store; it answers to what is asked of a tensor of samples, and holds none.

    Attributes:
        store: where they lie.
        index: which, ``[n]`` on the CPU; None for all in their order.
        sample: shape of one, as it is wanted.
        device: where to bring what is read.
    """

    store: SampleStore
    index: Tensor | None = None
    sample: Shape | None = None
    device: torch.device = _CPU

    def __len__(self) -> int:
        return self.store.shape[0] if self.index is None else len(self.index)

    @property
    def shape(self) -> Shape:
        """``[samples, ...]``."""
        return (len(self), *(self.store.shape[1:] if self.sample is None else self.sample))

    @property
    def dtype(self) -> torch.dtype:
        """Of the samples."""
        return self.store.dtype

    def __getitem__(self, rows: Tensor | slice) -> StoredRows:
        return replace(self, index=self._rows(rows))

    def reshape(self, count: int, *sample: int) -> StoredRows:
        """The same with another shape of a sample, of as many values."""
        assert count == len(self)
        return replace(self, sample=tuple(sample))

    def to(self, device: torch.device | str) -> StoredRows:
        """The same, to be brought to another device."""
        return replace(self, device=torch.device(device))

    def joined(self, other: StoredRows) -> StoredRows:
        """These, then others of the same store."""
        assert self.store is other.store
        return replace(self, index=torch.cat((self._rows(slice(None)), other._rows(slice(None)))))

    def read(self) -> Tensor:
        """All of them, ``[samples, ...]``."""
        return self._shaped(self.store.read(self._rows(slice(None))))

    def parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Goes through them in the order that costs least: places in these rows, and the samples there."""
        for places, values in self.store.parts(self._rows(slice(None))):
            yield places, self._shaped(values)

    def _rows(self, rows: Tensor | slice) -> Tensor:
        if self.index is not None:
            return self.index[rows if isinstance(rows, slice) else rows.cpu()]
        if not isinstance(rows, slice):
            return rows.cpu()
        return torch.arange(*rows.indices(self.store.shape[0]))

    def _shaped(self, values: Tensor) -> Tensor:
        return values.reshape(len(values), *self.shape[1:]).to(self.device)


Stored = Tensor | StoredRows
"""Samples, in memory or not."""


def in_memory(x: Stored) -> Tensor:
    """The samples themselves."""
    return x if isinstance(x, Tensor) else x.read()


def joined(first: Stored, second: Stored) -> Stored:
    """Samples, then others of the same source."""
    if isinstance(first, StoredRows) and isinstance(second, StoredRows):
        return first.joined(second)
    return torch.cat((in_memory(first), in_memory(second)))


def each_part(x: Stored) -> Iterator[tuple[Tensor, Tensor]]:
    """Goes through samples a few at a time, so that nobody holds a second copy of them: places, and the samples."""
    if isinstance(x, StoredRows):
        yield from x.parts()
        return
    size = max(1, _PIECE * len(x) // max(1, x.numel()))
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        values = x[part]
        yield torch.arange(start, start + len(values)), values
