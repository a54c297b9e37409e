"""The data of a proposal: batches that are fitted to, and batches that decide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils import _pytree as pytree

from dagrow.capture import batch_size
from dagrow.errors import DataError


@dataclass(frozen=True)
class Part:
    """Some samples.

    Attributes:
        inputs: in the form of the example.
        target: as the loss takes it.
        count: of samples.
    """

    inputs: Any
    target: Any
    count: int


class Split(NamedTuple):
    """Samples for two purposes.

    Attributes:
        fit: that weights are fitted to.
        held_out: that amplitudes are chosen on; those of ``fit`` where none are held out.
    """

    fit: tuple[Part, ...]
    held_out: tuple[Part, ...]


@dataclass(frozen=True)
class Losses:
    """Mean losses of the module as it is.

    Attributes:
        fit: over the samples that are fitted to.
        held_out: over those that choose.
        parts: the samples.
    """

    fit: float
    held_out: float
    parts: Split

    @property
    def samples(self) -> int:
        """How many there are in all."""
        return sum(self._counts)

    @property
    def _counts(self) -> tuple[int, int]:
        """Samples of both kinds; none are held out where the same ones do for both."""
        fit, held_out = (sum(part.count for part in parts) for parts in self.parts)
        return fit, 0 if self.parts.held_out is self.parts.fit else held_out

    def everywhere(self, fit: float, held_out: float) -> float:
        """The mean over all samples.

        Args:
            fit: over those that are fitted to.
            held_out: over those that choose.
        """
        counts = self._counts
        return (fit * counts[0] + held_out * counts[1]) / sum(counts)


def split(data: Iterable[Any], held_out: float, most: int | None = None) -> Split:
    """Cuts batches into samples to fit to, and samples held out: the last of each batch.

    Args:
        data: batches ``(inputs, target)``; tensors have the samples first.
        held_out: share of the samples.
        most: samples in one part of ``fit`` at most; None leaves batches whole.

    Raises:
        DataError: if there are no batches, or one is no pair.
    """
    if not 0 <= held_out < 1:
        raise DataError(f"held_out is a share from 0 to below 1, not {held_out}")
    fit: list[Part] = []
    held: list[Part] = []
    for batch in data:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise DataError("the data must yield (inputs, target) pairs, one per batch")
        count = batch_size(batch[0])
        first = count - round(held_out * count)
        for start, stop, parts in ((0, first, fit), (first, count, held)):
            step = most if most is not None and parts is fit else max(1, stop - start)
            parts += [_part(batch, count, a, min(a + step, stop)) for a in range(start, stop, step)]
    if not fit:
        raise DataError("the data hold no batches to fit to")
    return Split(tuple(fit), tuple(held) or tuple(fit))


def _part(batch: Any, count: int, start: int, stop: int) -> Part:
    def cut(leaf: Any) -> Any:
        if isinstance(leaf, Tensor) and leaf.dim() and leaf.shape[0] == count:
            return leaf[start:stop]
        return leaf

    inputs, target = (pytree.tree_map(cut, each) for each in (batch[0], batch[1]))
    return Part(inputs, target, stop - start)
