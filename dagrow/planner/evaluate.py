"""Losses of many trials at many amplitudes, in passes over the data that all of them share.

Each batch goes through the network once. Every trial then adds its deltas to cached pre-activations and
runs only the part of the graph below. What is kept from one pass to the next is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from dagrow.build import Network, Value
from dagrow.planner.batch_response import Deltas, Response, Values
from dagrow.planner.identity_cache import IdentityCache
from dagrow.planner.losses import PARTS, Losses, Mean, Measured, join_means
from dagrow.planner.sample_subsets import SampleSubset, joined_subsets, pilot_samples, subset_of
from dagrow.planner.sign_selection import DirectionalDerivatives, SignChoice
from dagrow.planner.simulated_change import Trial
from dagrow.randomness import seed_torch, torch_random_numbers_kept
from dagrow.statistics import CACHE_BYTES, FEW_SAMPLES, ActivationCache, Batch, CachedBatch, rows

_BATCH_SEED = 0x6A09

_JOINED_VALUES = 2**20
"""Values per node up to which pilot samples are joined: what fits the processor's cache."""
_TOGETHER = 1024
"""Samples times amplitudes up to which a suffix is run once for all of them: it is the calls that cost there."""

_CHEAP_BYTES = 32 * 2**20
"""Kept, at most, of what is used once more only: fresh memory costs more than making it again."""

Changed = Callable[[str, Tensor | None], Tensor]
"""See `Response.at`."""


class Evaluator:
    """Runs trials on the samples of a network's snapshots.

    Args:
        snapshots: of the network, with the desired updates of every node that a trial changes.
    """

    def __init__(self, snapshots: ActivationCache) -> None:
        self.snapshots, self.loss = snapshots, snapshots.loss
        self.network, self.dag, self.processes = snapshots.network, snapshots.dag, snapshots.stream.processes
        self.held_out = snapshots.stream.held_out > 0
        self._drops = self.network.training and any(node.dropout > 0 for node in self.dag.spec.nodes.values())
        self._responses: IdentityCache[Response] = IdentityCache()
        self._pilot: tuple[SampleSubset, ...] | None = None
        self._fan_in: IdentityCache[Tensor] = IdentityCache()
        self._update_deltas: IdentityCache[Deltas] = IdentityCache()
        self._room, self._spare = CACHE_BYTES, _CHEAP_BYTES

    @property
    def may_use_pilot(self) -> bool:
        """Whether a part of the samples saves work: they must be many, and not see one another."""
        share = self.snapshots.stream.held_out or 1.0
        return not self.network.training and self.snapshots.stream.samples * share > 2 * FEW_SAMPLES

    @cached_property
    def _widest(self) -> int:
        """Values of one sample at the widest node."""
        dag = self.dag
        return max(math.prod(shape) for name in dag.spec.nodes for shape in (dag.merged(name), dag.output(name)))

    @torch.no_grad()
    def search(
        self, asked: Sequence[tuple[Trial, Sequence[float]]], pilot: bool = False
    ) -> tuple[float, list[dict[float, float]]]:
        """One pass: the loss as it is and each trial's losses, on the held-out samples if there are any.

        Args:
            asked: trials with the amplitudes to try.
            pilot: only on a part of these samples.

        Returns:
            The starting loss, and per trial the losses by amplitude.
        """
        start = Mean()
        sums = [{amplitude: Mean() for amplitude in amplitudes} for _, amplitudes in asked]
        for subset in self._subsets(pilot):
            known = subset.loss
            weight = self._weight((subset.number, subset.part), subset.outputs, subset.target, subset.mask)
            start.add(self._loss(subset.outputs, subset.target, subset.mask) if known is None else known, weight)
            for (trial, amplitudes), means in zip(asked, sums, strict=True):
                # After a pilot on some samples, one round over all mostly decides: no next one to keep it for.
                response = self._response(trial, subset, pilot or not self.may_use_pilot)
                limit = response.largest_amplitude(subset.values)
                within = [amplitude for amplitude in amplitudes if amplitude <= limit]
                outputs = self._outputs(trial, subset, response, within)
                for amplitude, outs in zip(within, outputs, strict=True):
                    means[amplitude].add(self._loss(outs, subset.target, subset.mask), weight)
                for amplitude in amplitudes:
                    if amplitude > limit:
                        means[amplitude].add(math.inf, weight)
        join_means([start, *(mean for means in sums for mean in means.values())], self.processes)
        return start.value, [{a: mean.value for a, mean in means.items()} for means in sums]

    def _subsets(self, pilot: bool) -> Iterator[SampleSubset]:
        """The samples that a search is over: those held out if there are any, the pilot samples among them if asked."""
        if pilot and self._pilot is not None:
            yield from self._pilot
            return
        subsets = []
        for snapshot in self.snapshots.passing():
            subset = subset_of(snapshot, self.held_out, pilot, self.network.training)
            if subset is not None and pilot and self.snapshots.cached() is not None:
                subsets.append(subset)
            elif subset is not None:
                yield subset
        if subsets:
            few = self._widest * sum(subset.size for subset in subsets) <= _JOINED_VALUES
            # Scouts are few per batch: one small batch of all of them costs a tenth of the calls.
            self._pilot = (joined_subsets(subsets),) if few else tuple(subsets)
            yield from self._pilot

    @torch.no_grad()
    def measure(self, asked: Sequence[tuple[Trial, float]]) -> tuple[Measured, list[Measured]]:
        """One pass: losses as they are and with each trial at its amplitude, on all samples and held out."""
        start, *sums = [Losses() for _ in range(len(asked) + 1)]
        for snapshot in self.snapshots.passing():
            batch, values = snapshot.batch, snapshot.values
            parts = _held_out_parts(batch)
            weights = self._weights(snapshot, parts)
            self._add(start, snapshot.outputs, batch, parts, weights)
            for (trial, amplitude), losses in zip(asked, sums, strict=True):
                changed = self._run_suffix(trial, values, trial.prepare(values), amplitude)
                self._add(losses, changed, batch, parts, weights)
        join_means([mean for losses in (start, *sums) for mean in losses.means], self.processes)
        return start.measured(start), [losses.measured(start) for losses in sums]

    @torch.no_grad()
    def orient(self, trials: Sequence[Trial], pilot: bool = False, sides: bool = True) -> list[SignChoice]:
        """Chooses the better of each neuron and its mirror image, and says what the loss does at amplitude 0.

        Where the activation has a kink (or a norm or a max pool comes in between), a neuron and its mirror
        image differ at first order, so the data decide, neuron by neuron.

        Args:
            trials: at unit size.
            pilot: ask a part of the samples only.
            sides: whether there is a choice; otherwise all neurons stay as they are.

        Returns:
            Per trial, the trial to search and what the loss does there at first order.
        """
        room = 0 if pilot else self._spare // max(1, len(trials))
        shares = [DirectionalDerivatives(trial, self._mirror(trial) if sides else None, room) for trial in trials]
        loss = Mean()
        for whole in self.snapshots.passing(goals=True) if shares else ():
            snapshot = pilot_samples(whole) if pilot else whole
            known, target = snapshot.loss, snapshot.batch.target
            weight = self._weight((snapshot.number, "some" if pilot else "all"), snapshot.outputs, target, None)
            loss.add(self._loss(snapshot.outputs, target, None) if known is None else known, weight)
            for share in shares:
                deltas = share.trial.update_slope(snapshot.values) if pilot else self._updates(share.trial, whole)
                share.add(snapshot, deltas)
        if shares:
            join_means([loss], self.processes)
        for share in shares:
            share.join(self.processes)
        found = [share.oriented(loss) for share in shares]
        for share, result in zip(shares, found, strict=True):
            for number, z in share.kept.items():
                self._fan_in.put(z, result.trial.change.features, number)
        return found

    def _mirror(self, trial: Trial) -> Trial | None:
        """The mirror image of all neurons of a trial, None where it makes no difference at first order."""
        features = trial.change.features
        if features is None or not trial.has_sides:
            return None
        first = next(iter(features.fan_out.values()))
        return self.with_norm_statistics(trial.mirrored(-first.new_ones(features.count)))

    @torch.no_grad()
    def with_norm_statistics(self, trial: Trial) -> Trial:
        """Measures mean and variance of the new features before each norm they pass, in order."""
        known: dict[str, tuple[Tensor, Tensor]] = {}
        for name in trial.normed:
            total, squares, count = torch.zeros(()), torch.zeros(()), 0.0
            for snapshot in self.snapshots.passing():
                z = trial.with_statistics(known).before_norm(snapshot.values, name)
                columns = z.double().transpose(0, 1).flatten(1)
                total, squares = total + columns.sum(1), squares + columns.square().sum(1)
                count += columns.shape[1]
            self.processes.add_up([total, squares])
            (count,) = self.processes.sums(count)
            mean = total / count
            # As batch norm keeps it: the unbiased variance.
            variance = (squares / count - mean.square()).clamp(min=0) * count / max(1, count - 1)
            dtype = next(iter(self.network.parameters())).dtype
            known[name] = (mean.to(dtype), variance.to(dtype))
        return trial.with_statistics(known) if known else trial

    def _response(self, trial: Trial, subset: SampleSubset, keep: bool) -> Response:
        """The trial on some samples; kept for the next pass over the same ones, if asked, while there is room."""
        known = self._responses.get(trial, subset.number, subset.part)
        if known is not None:
            return known
        z = self._fan_in.get(trial.change.features, subset.number)
        updates = self._update_deltas.get(trial.change.updates, subset.number)
        if subset.index is not None:
            z = None if z is None else z[subset.index]
            updates = updates and {node: delta[subset.index] for node, delta in updates.items()}
        response = trial.prepare(subset.values, z, updates)
        if keep and response.bytes <= self._room:
            self._room -= response.bytes
            self._responses.put(response, trial, subset.number, subset.part)
        return response

    def _updates(self, trial: Trial, snapshot: CachedBatch) -> Deltas:
        """What a trial's updates do on one batch; kept for the search while there is room."""
        deltas = trial.update_slope(snapshot.values)
        size = sum(delta.numel() * delta.element_size() for delta in deltas.values())
        if deltas and size <= self._spare:
            self._spare -= size
            self._update_deltas.put(deltas, trial.change.updates, snapshot.number)
        return deltas

    def forget(self, trials: Sequence[Trial]) -> None:
        """Frees what was kept of trials that are out of the race."""
        self._room += sum(response.bytes for response in self._responses.drop(trials))

    def _outputs(
        self, trial: Trial, subset: SampleSubset, response: Response, amplitudes: Sequence[float]
    ) -> Iterator[tuple[Tensor, ...]]:
        """The outputs at each of some amplitudes; in one run where samples are few and do not see one another."""
        samples = len(subset.outputs[0]) * len(amplitudes)
        few = samples <= _TOGETHER and samples * self._widest <= _JOINED_VALUES
        if self.network.training or trial.moved_layers or not few or len(amplitudes) < 2:
            for amplitude in amplitudes:
                yield self._run_suffix(trial, subset.values, response, amplitude)
            return
        module, given = self.snapshots.suffix(trial.changed)
        changes = [response.at(amplitude) for amplitude in amplitudes]
        arguments = [
            torch.cat([self._argument(trial, subset.values, value, changed) for changed in changes]) for value in given
        ]
        yield from zip(*(out.chunk(len(changes)) for out in module(*arguments)), strict=True)

    def _run_suffix(self, trial: Trial, values: Values, response: Response, amplitude: float) -> tuple[Tensor, ...]:
        """The outputs with the trial's changes added to the pre-activations that it changes."""
        module, given = self.snapshots.suffix(trial.changed)
        changed = response.at(amplitude)
        arguments = [self._argument(trial, values, value, changed) for value in given]
        if self._drops:
            # The same dropout at every amplitude.
            seed_torch(_BATCH_SEED)
        results: tuple[Tensor, ...] = module(*arguments, added=trial.written_below(amplitude))
        return results

    @staticmethod
    def _argument(trial: Trial, values: Values, value: Value, changed: Changed) -> Tensor:
        """What the suffix is given for a value."""
        if value.node not in trial.changed or value.stage == "output":
            return values[value]
        return changed(value.node, None if value.stage == "delta" else values[value])

    def _loss(self, outs: Any, target: Any, mask: Tensor | None) -> float:
        if mask is not None:
            outs = rows(outs, mask)
        return float(self.loss(outs[0] if len(outs) == 1 else outs, target))

    def _weight(self, key: object, outs: Any, target: Any, mask: Tensor | None) -> float:
        """What some samples weigh, given the outputs as they are."""
        return self.snapshots.weighing.part(key, outs if mask is None else rows(outs, mask), target)

    def _weights(self, snapshot: CachedBatch, parts: Sequence[tuple[Tensor, Any]]) -> list[float]:
        """Of a batch, and of parts of it."""
        asked = [("all", None, snapshot.batch.target), *((i, *part) for i, part in enumerate(parts))]
        return [self._weight((snapshot.number, key), snapshot.outputs, target, index) for key, index, target in asked]

    def _add(
        self, losses: Losses, outs: Any, batch: Batch, parts: Sequence[tuple[Tensor, Any]], weights: Sequence[float]
    ) -> None:
        losses.everywhere.add(self._loss(outs, batch.target, None), weights[0])
        for mean, (index, target), weight in zip(losses.parts, parts, weights[1:], strict=True):
            if weight > 0:
                mean.add(self._loss(outs, target, index), weight)


def _held_out_parts(batch: Batch) -> list[tuple[Tensor, Any]]:
    """Which samples are of each part of those held out, and their targets."""
    numbers = (batch.sample_uniform * PARTS).long()
    found = [((numbers == part) & batch.held).nonzero().squeeze(1) for part in range(PARTS)]
    return [(index, rows(batch.target, index)) for index in found]


@contextmanager
def untouched(network: Network) -> Iterator[None]:
    """Whatever runs inside, buffers (running statistics) and the global RNG are afterwards as before."""
    saved = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        with torch_random_numbers_kept():
            yield
    finally:
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)
