"""The part of each batch that a search asks about: all samples, those held out, or the scouts among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dagrow.build import Value
from dagrow.planner.batch_response import Values
from dagrow.statistics import CachedBatch, joined, rows


class _Lazy(dict[Value, Tensor]):
    """Values of some samples, each cut out or joined when it is first asked for."""

    def __init__(self, make: Callable[[Value], Tensor], known: Values) -> None:
        super().__init__()
        self.make, self.known = make, known

    def __contains__(self, value: object) -> bool:
        return value in self.known

    def __missing__(self, value: Value) -> Tensor:
        self[value] = self.make(value)
        return self[value]


@dataclass(frozen=True)
class SampleSubset:
    """Samples that a search asks about.

    Attributes:
        number: of the batch, 0 for the joined scouts.
        part: which of its samples, as a key.
        values: what the network makes of them.
        outputs: of the network.
        target: for the loss.
        mask: which of the outputs count; None for all.
        index: which of the batch's samples these are; None for all of them, or for those of several batches.
        size: how many samples count.
        loss: their mean loss as things are, where it is known already.
    """

    number: int
    part: str
    values: Values
    outputs: tuple[Tensor, ...]
    target: Any
    mask: Tensor | None
    index: Tensor | None
    size: int
    loss: float | None = None


def subset_of(snapshot: CachedBatch, held_out: bool, pilot: bool, training: bool) -> SampleSubset | None:
    """The samples of a batch that count, None if there are none."""
    batch, values, outs = snapshot.batch, snapshot.values, snapshot.outputs
    if not held_out and not pilot:
        return SampleSubset(snapshot.number, "all", values, outs, batch.target, None, None, batch.size, snapshot.loss)
    mask = batch.held if not pilot else batch.pilot_mask & batch.held if held_out else batch.pilot_mask
    size = int(mask.sum())
    if size == 0:
        return None
    target, part = rows(batch.target, mask), "scouts" if pilot else "held out"
    if training:
        # Samples see one another in batch statistics: all are run, some count.
        return SampleSubset(snapshot.number, part, values, outs, target, mask, None, size)
    index = mask.nonzero().squeeze(1)
    some = _Lazy(lambda value: values[value][index], values)
    return SampleSubset(snapshot.number, part, some, tuple(x[index] for x in outs), target, None, index, size)


def joined_subsets(subsets: Sequence[SampleSubset]) -> SampleSubset:
    """Several looks as one; only in eval mode, where samples do not see one another."""
    values = _Lazy(lambda value: torch.cat([subset.values[value] for subset in subsets]), subsets[0].values)
    outs = tuple(torch.cat(parts) for parts in zip(*(subset.outputs for subset in subsets), strict=True))
    target = joined([subset.target for subset in subsets])
    return SampleSubset(0, "scouts", values, outs, target, None, None, sum(subset.size for subset in subsets))


def pilot_samples(snapshot: CachedBatch) -> CachedBatch:
    """The scouts of a batch alone."""
    index = snapshot.batch.pilot_mask.nonzero().squeeze(1)
    batch = snapshot.batch
    few = replace(
        batch,
        target=rows(batch.target, index),
        size=len(index),
        **{name: getattr(batch, name)[index] for name in ("held", "signs", "scouts", "lots")},
    )
    values = _Lazy(lambda value: snapshot.values[value][index], snapshot.values)
    outs = tuple(x[index] for x in snapshot.outputs)
    return CachedBatch(snapshot.number, few, values, outs, {name: g[index] for name, g in snapshot.goals.items()})
