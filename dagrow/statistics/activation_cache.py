"""Forward and backward passes over the samples, as values: what a look at the network sees, batch by batch.

The first batches are kept in a bounded cache, so that a small job pays for one forward and backward pass
and a large one computes again what does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dagrow.build import Network, Suffix, Suffixes, Value, frozen_names, merged, output, probe
from dagrow.errors import DataError, GrowthError, NumbersError
from dagrow.flop_counter import spend
from dagrow.graph import Dag, backward_work, forward_work
from dagrow.layout import Shape
from dagrow.randomness import seed_torch
from dagrow.statistics.frozen_tables import differentiable_tables
from dagrow.statistics.indexed_batches import Batch, IndexedBatches, LossFunction
from dagrow.statistics.weighing import CheckedLoss, Weighing, called

CACHE_BYTES = 512 * 2**20
"""Values kept from one pass to the next, at most."""

_BATCH_SEED = 0x6A09


@dataclass(frozen=True)
class CachedBatch:
    """One batch, seen by the network.

    Attributes:
        number: of the batch, from 1.
        batch: the samples.
        values: what the watched nodes merge and all nodes and inputs put out, without gradients.
        outputs: of the network.
        goals: ``v_goal`` per node asked for: minus the gradient of the loss *summed* over the batch, so
            that it is per sample and a short last batch weighs no more than its samples; of a loss that weighs
            samples, of the weighted sum.
        loss: mean over the batch; None where only values were asked for.
    """

    number: int
    batch: Batch
    values: dict[Value, Tensor]
    outputs: tuple[Tensor, ...]
    goals: dict[str, Tensor]
    loss: float | None = None


class ActivationCache:
    """All batches of a stream, as often as needed.

    Args:
        network: in the mode in which it is to be seen.
        loss: mean loss of a batch.
        stream: the samples.
        nodes: nodes whose desired update is wanted.
        sites: nodes that may grow.
        read: further nodes whose outputs are wanted.
        cache_bytes: what may be kept between passes.
    """

    def __init__(
        self,
        network: Network,
        loss: LossFunction,
        stream: IndexedBatches,
        nodes: Sequence[str],
        sites: Sequence[str] = (),
        read: Sequence[str] = (),
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.network, self.loss, self.stream = network, CheckedLoss(loss), stream
        self.weighing = Weighing(self.loss)
        self.dag: Dag = network.dag
        self.frozen = frozen_names(network)
        self.nodes = tuple(nodes)
        self._inner = (*map(merged, self.nodes), *map(output, self._read(sites, read)))
        self._probe = probe(network, self.dag, self._inner)
        self._kept: list[CachedBatch] = []
        self._room = cache_bytes
        self._complete = self._seen = False
        self._suffixes = Suffixes(network)

    def _read(self, sites: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
        """Nodes whose outputs are read: by what changes, by what lies below and beside a change, and outputs."""
        below = set(self.nodes)
        for name in self.dag.order:
            if any(edge.source in below for edge in self.dag.incoming[name]):
                below.add(name)
        readers = below.union(sites)
        read = {edge.source for name in readers for edge in self.dag.incoming[name]}.union(more)
        return tuple(name for name in self.dag.order if name in read or name in self.dag.spec.outputs)

    def will_fit(self) -> bool:
        """Whether all snapshots of all processes will stay in the cache, as far as the data say how many they are."""
        own = self.stream.expected_samples()
        expected = self.stream.processes.numbers(-1 if own is None else own)
        if min(expected) < 0:
            return False
        samples = max(expected)
        shapes: list[Shape] = [self.dag.merged(name) for name in (*self.nodes, *self.nodes)]
        shapes += [self.dag.output(value.node) for value in self._inner if value.stage == "output"]
        shapes += [entry.values.stored for entry in self.dag.spec.inputs.values()]
        itemsize = next(iter(self.network.parameters())).element_size()
        return samples * itemsize * sum(math.prod(shape) for shape in shapes) <= self._room

    def passing(self, goals: bool = False) -> Iterator[CachedBatch]:
        """One pass over the samples; desired updates are there if asked for."""
        if self._complete:
            yield from self._kept
        elif self._seen:
            yield from self._pass(goals)
        else:
            yield from self._first_pass(goals)

    def batches(self) -> Iterator[Batch]:
        """One pass over the samples alone."""
        yield from (snapshot.batch for snapshot in self._kept) if self._complete else self.stream

    def look(self, inputs: tuple[Tensor, ...], target: Any) -> CachedBatch:
        """What the network makes of some samples as a batch of their own, desired updates included."""
        return self._look(Batch.of(inputs, target), 0, goals=True)

    def _first_pass(self, goals: bool) -> Iterator[CachedBatch]:
        """A pass that shows whether there are numbers in all processes: they go on together, or none does."""
        processes = self.stream.processes
        try:
            yield from self._pass(goals)
        except NumbersError:
            processes.numbers(1)
            raise
        found = processes.numbers(0)
        if 1 in found:
            raise NumbersError(
                f"process {found.index(1)} of {processes.count} found infinite or NaN values in its part"
            )
        if processes.count > 1 and not all(processes.numbers(int(self.weighing.plain))):
            raise GrowthError(
                "the loss weighs samples differently (class weights, ignored targets), and several processes have no "
                "unit of weight in common: propose in one process"
            )

    def _pass(self, goals: bool) -> Iterator[CachedBatch]:
        kept = len(self._kept)
        count = 0
        for count, batch in enumerate(self.stream, start=1):
            if count <= kept:
                yield self._kept[count - 1]
                continue
            snapshot = self._look(batch, count, goals or not self._seen)
            if not self._seen:
                self._keep(snapshot, count)
            yield snapshot
        self._seen = True
        self._complete = len(self._kept) == count

    def cached(self) -> Sequence[CachedBatch] | None:
        """All snapshots, if all of them are kept; None otherwise."""
        return self._kept if self._complete else None

    def suffix(self, changed: tuple[str, ...]) -> tuple[Suffix, tuple[Value, ...]]:
        """The part of the network below a change, made once for all who ask (see `dagrow.build.Suffixes`)."""
        return self._suffixes.below(changed)

    def _keep(self, snapshot: CachedBatch, count: int) -> None:
        """Keeps the snapshot while there is room; a value that goes by two names counts once."""
        tensors = (*snapshot.values.values(), *snapshot.goals.values())
        self._room -= sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors}.values())
        if self._room >= 0 and len(self._kept) == count - 1:
            self._kept.append(snapshot)

    def _look(self, batch: Batch, number: int, goals: bool) -> CachedBatch:
        spend(batch.size * (forward_work(self.dag) + goals * backward_work(self.dag)))
        inputs = batch.inputs
        if goals:
            # Frozen weights have no graph of their own: the inputs make one.
            inputs = tuple(x.detach().requires_grad_() if x.is_floating_point() else x for x in inputs)
        with torch.set_grad_enabled(goals), differentiable_tables(self.network):
            if goals:
                _check_inputs(dict(zip(self.dag.spec.inputs, batch.inputs, strict=True)), number)
            if self.network.training:
                # The same dropout in every pass.
                seed_torch(_BATCH_SEED + number)
            shapes = ", ".join(str(list(x.shape)) for x in inputs)
            cannot = f"the network cannot run on batch {number} of the data, of shape {shapes}"
            results = called(lambda: self._probe(*inputs), cannot, DataError)
            count = len(self.dag.spec.outputs)
            outs, values = results[:count], dict(zip(self._inner, results[count:], strict=True))
            found: dict[str, Tensor] = {}
            loss = None
            if goals and self.nodes:
                mean = self.loss(outs[0] if len(outs) == 1 else outs, batch.target)
                plain_outs = tuple(out.detach() for out in outs)
                weigh = partial(self.weighing.batch, number) if number else self.weighing.fresh
                weight = weigh(plain_outs, batch.target)
                loss = float(mean.detach())
                pre = [values[merged(name)] for name in self.nodes]
                gradients: Sequence[Tensor | None] = [None] * len(pre)
                if weight > 0:
                    # Samples that weigh nothing have no loss: it is the mean of none.
                    check_loss(mean)
                    gradients = torch.autograd.grad(mean * weight, pre, allow_unused=True)
                for name, a, g in zip(self.nodes, pre, gradients, strict=True):
                    found[name] = torch.zeros_like(a) if g is None else -g
                    _check_gradient(found[name], name, number)
        for name, x in zip(self.dag.spec.inputs, batch.inputs, strict=True):
            # Tokens too are multiplied with numbers of the network's format, once they are features.
            values[output(name)] = x if x.is_floating_point() else x.to(next(self.network.parameters(), x).dtype)
        plain = {value: x.detach() for value, x in values.items()}
        return CachedBatch(number, batch, plain, tuple(x.detach() for x in outs), found, loss)


def _check_inputs(inputs: Mapping[str, Tensor], number: int) -> None:
    """Refuses samples that are no numbers: an activation may hide them from the loss."""
    for name, x in inputs.items():
        if not _is_finite(x):
            raise NumbersError(f"batch {number} of the data has infinite or NaN values at the input '{name}'")


def _check_gradient(gradient: Tensor, name: str, number: int) -> None:
    """Refuses a gradient that is no number: no direction can be taken from it."""
    if not _is_finite(gradient):
        raise NumbersError(
            f"the gradient of the loss at '{name}' is infinite or NaN in batch {number}, though the loss is not"
        )


def _is_finite(x: Tensor) -> bool:
    """Whether all entries are; the sum is a third of the work, and is infinite or NaN if one of them is."""
    return bool(torch.isfinite(x.sum())) or bool(torch.isfinite(x).all())


def check_loss(loss: Tensor) -> None:
    """Refuses a loss that is no number: nothing can be measured against it.

    Raises:
        NumbersError: if it is not finite.
    """
    if not bool(torch.isfinite(loss)):
        raise NumbersError(
            f"the loss of the network as it stands is {float(loss.detach())}; nothing can be gained against that"
        )
