"""Losses of many trials at many amplitudes, in passes over the data that all of them share.

Each batch goes through the network once. Every trial then adds its deltas to cached pre-activations and
runs only the part of the graph below. Nothing larger than a batch is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from dagrow.build import Network, Value, suffix
from dagrow.planner.trial import Response, Trial, Values
from dagrow.statistics import CACHE_BYTES, FEW_SAMPLES, Batch, Snapshot, Snapshots, rows

_BATCH_SEED = 0x6A09


@dataclass(frozen=True)
class Measured:
    """Mean losses, over all samples and over the held-out ones (NaN where none are held out)."""

    everywhere: float
    held_out: float


@dataclass(frozen=True)
class Oriented:
    """A trial with each neuron on its better side, at first order.

    Attributes:
        trial: to be searched.
        slope: ``-dL/dg`` at 0 over all samples of its features (of its updates where it has none); None
            where the loss has no derivative there.
        update_slope: that of its updates.
        loss: the loss at amplitude 0.
    """

    trial: Trial
    slope: float | None
    update_slope: float
    loss: float

    @property
    def scale(self) -> float:
        """The amplitude at which the first-order gain would be the whole loss; the method's own without a slope."""
        return _whole_loss(self.loss, self.slope, self.trial.scale)

    @property
    def update_scale(self) -> float:
        """The same for the updates."""
        return _whole_loss(self.loss, self.update_slope, self.trial.scale)


def _whole_loss(loss: float, slope: float | None, otherwise: float) -> float:
    scale = abs(loss) / slope if slope is not None and slope > 0 else 0.0
    return scale if 0.0 < scale < math.inf else otherwise


class Evaluator:
    """Runs trials on the samples of a network's snapshots.

    Args:
        snapshots: of the network, with the desired updates of every node that a trial changes.
        trials: all that may be asked about.
    """

    def __init__(self, snapshots: Snapshots, trials: Sequence[Trial]) -> None:
        self.snapshots, self.loss = snapshots, snapshots.loss
        self.network, self.dag = snapshots.network, snapshots.dag
        self.held_out = snapshots.stream.held_out > 0
        self._suffixes: dict[tuple[str, ...], tuple[fx.GraphModule, tuple[Value, ...]]] = {}
        for trial in trials:
            if trial.changed not in self._suffixes:
                self._suffixes[trial.changed] = suffix(self.network, self.dag, trial.changed)
        self._responses: dict[tuple[int, int, bool], Response] = {}
        self._fan_in: dict[tuple[int, int], Tensor] = {}
        self._room = CACHE_BYTES

    @property
    def may_scout(self) -> bool:
        """Whether a part of the samples saves work: they must be many, and not see one another."""
        share = self.snapshots.stream.held_out or 1.0
        return not self.network.training and self.snapshots.stream.samples * share > 2 * FEW_SAMPLES

    @torch.no_grad()
    def search(
        self, asked: Sequence[tuple[Trial, Sequence[float]]], scouting: bool = False
    ) -> tuple[float, list[dict[float, float]]]:
        """One pass: the loss as it is and each trial's losses, on the held-out samples if there are any.

        Args:
            asked: trials with the amplitudes to try.
            scouting: only on a part of these samples.

        Returns:
            The starting loss, and per trial the losses by amplitude.
        """
        start = _Mean()
        sums = [{amplitude: _Mean() for amplitude in amplitudes} for _, amplitudes in asked]
        for snapshot in self.snapshots.passing():
            batch, values, outs = snapshot.batch, snapshot.values, snapshot.outputs
            mask = batch.held if self.held_out else None
            if scouting:
                mask = batch.scouts if mask is None else mask & batch.scouts
            if mask is not None and not bool(mask.any()):
                continue
            target, count, after = batch.target, batch.size, mask
            if mask is not None:
                target, count = rows(batch.target, mask), int(mask.sum())
                if not self.network.training:
                    # In eval mode samples do not see one another: only those that count are run.
                    values, after = _SomeRows(values, mask), None
            start.add(self._loss(outs, target, mask), count)
            for (trial, amplitudes), means in zip(asked, sums, strict=True):
                response = self._response(trial, snapshot, values, mask, scouting)
                for amplitude in amplitudes:
                    changed = self._run_suffix(trial, values, response.at(amplitude))
                    means[amplitude].add(self._loss(changed, target, after), count)
        return start.value, [{a: mean.value for a, mean in means.items()} for means in sums]

    @torch.no_grad()
    def measure(self, asked: Sequence[tuple[Trial, float]]) -> tuple[Measured, list[Measured]]:
        """One pass: losses as they are and with each trial at its amplitude, on all samples and held out."""
        start = (_Mean(), _Mean())
        sums = [(_Mean(), _Mean()) for _ in asked]
        for snapshot in self.snapshots.passing():
            batch, values = snapshot.batch, snapshot.values
            self._add_both(start, snapshot.outputs, batch)
            for (trial, amplitude), means in zip(asked, sums, strict=True):
                changed = self._run_suffix(trial, values, trial.prepare(values).at(amplitude))
                self._add_both(means, changed, batch)
        both = [Measured(first.value, second.value) for first, second in (start, *sums)]
        return both[0], both[1:]

    @torch.no_grad()
    def orient(self, trials: Sequence[Trial]) -> list[Oriented]:
        """Chooses the better of each neuron and its mirror image, and says what the loss does at amplitude 0.

        Where the activation has a kink (or a norm or a max pool comes in between), a neuron and its mirror
        image differ at first order, so the data decide, neuron by neuron.

        Returns:
            Per trial, the trial to search and what the loss does there at first order.
        """
        shares = [_Shares(trial, self._room // (4 * len(trials))) for trial in trials]
        loss = _Mean()
        for snapshot in self.snapshots.passing(goals=True) if shares else ():
            loss.add(self._loss(snapshot.outputs, snapshot.batch.target, None), snapshot.batch.size)
            for share in shares:
                share.add(snapshot)
        found = [share.oriented(loss) for share in shares]
        for share, result in zip(shares, found, strict=True):
            for number, z in share.kept.items():
                self._fan_in[id(result.trial.change.features), number] = z
        return found

    @torch.no_grad()
    def with_norm_statistics(self, trial: Trial) -> Trial:
        """Measures mean and variance of the new features before each norm they pass, in order."""
        known: dict[str, tuple[Tensor, Tensor]] = {}
        for name in trial.normed:
            total, squares, count = torch.zeros(()), torch.zeros(()), 0
            for snapshot in self.snapshots.passing():
                z = trial.with_statistics(known).before_norm(snapshot.values, name)
                columns = z.double().transpose(0, 1).flatten(1)
                total, squares = total + columns.sum(1), squares + columns.square().sum(1)
                count += columns.shape[1]
            mean = total / count
            # As batch norm keeps it: the unbiased variance.
            variance = (squares / count - mean.square()).clamp(min=0) * count / max(1, count - 1)
            dtype = next(iter(self.network.parameters())).dtype
            known[name] = (mean.to(dtype), variance.to(dtype))
        return trial.with_statistics(known) if known else trial

    def _response(
        self, trial: Trial, snapshot: Snapshot, values: Values, mask: Tensor | None, scouting: bool
    ) -> Response:
        """The trial on one batch; kept for the next pass over the same samples while there is room."""
        key = (id(trial), snapshot.number, scouting)
        if key in self._responses:
            return self._responses[key]
        z = self._fan_in.get((id(trial.change.features), snapshot.number))
        if z is not None and mask is not None and not self.network.training:
            z = z[mask]
        response = trial.prepare(values, z)
        if response.bytes <= self._room:
            self._room -= response.bytes
            self._responses[key] = response
        return response

    def forget(self, trials: Sequence[Trial]) -> None:
        """Frees what was kept of trials that are out of the race. Call it before they are dropped."""
        gone = {id(trial) for trial in trials}
        for key in [key for key in self._responses if key[0] in gone]:
            self._room += self._responses.pop(key).bytes

    def _run_suffix(self, trial: Trial, values: Values, deltas: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        module, given = self._suffixes[trial.changed]
        arguments = []
        for value in given:
            delta = deltas.get(value.node)
            if value.stage == "delta":
                assert delta is not None
                arguments.append(delta)
            elif value.stage == "merged" and delta is not None:
                arguments.append(values[value] + delta)
            else:
                arguments.append(values[value])
        if self.network.training:
            # The same dropout at every amplitude.
            torch.manual_seed(_BATCH_SEED)
        results: tuple[Tensor, ...] = module(*arguments)
        return results

    def _loss(self, outs: Any, target: Any, mask: Tensor | None) -> float:
        if mask is not None:
            outs = rows(outs, mask)
        return float(self.loss(outs[0] if len(outs) == 1 else outs, target))

    def _add_both(self, means: tuple[_Mean, _Mean], outs: Any, batch: Batch) -> None:
        means[0].add(self._loss(outs, batch.target, None), batch.size)
        held = int(batch.held.sum())
        if held:
            means[1].add(self._loss(outs, rows(batch.target, batch.held), batch.held), held)


class _SomeRows(dict[Value, Tensor]):
    """Some samples of cached values, each cut out when it is first asked for."""

    def __init__(self, values: Values, mask: Tensor) -> None:
        super().__init__()
        self.values_of_all, self.index = values, mask.nonzero().squeeze(1)

    def __missing__(self, value: Value) -> Tensor:
        self[value] = self.values_of_all[value][self.index]
        return self[value]


class _Shares:
    """What each neuron of a trial, its mirror image, and the updates take off the loss per unit of amplitude.

    Args:
        trial: whose neurons to look at.
        room: bytes of pre-activations that may be kept for the search.
    """

    def __init__(self, trial: Trial, room: int) -> None:
        self.trial, self.update, self.room = trial, 0.0, room
        features = trial.change.features
        self.ones = None if features is None else next(iter(features.fan_out.values())).new_ones(features.count)
        self.mirror = None if self.ones is None or not trial.has_sides else trial.mirrored(-self.ones)
        self.sums: dict[bool, Tensor] = {}
        self.kept: dict[int, Tensor] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Adds one batch."""
        self.update += _inner(self.trial.update_slope(snapshot.values), snapshot.goals)
        if self.ones is None:
            return
        z = self.trial.fan_in_response(snapshot.values)
        if z.numel() * z.element_size() <= self.room:
            self.room -= z.numel() * z.element_size()
            self.kept[snapshot.number] = z
        for image, own in ((self.trial, z), (self.mirror, -z)):
            if image is not None:
                share = _shares(image, own, self.ones, snapshot.goals)
                side = image is self.mirror
                self.sums[side] = self.sums[side] + share if side in self.sums else share

    def oriented(self, loss: _Mean) -> Oriented:
        """The trial with the better images, and what the loss does there."""
        trial, total = self.trial, self.update
        if False in self.sums:
            best = self.sums[False]
            if True in self.sums:
                # By a clear margin, so that rounding cannot flip a neuron that has no better side.
                mirror = self.sums[True]
                flip = mirror > best + 1e-6 * (best.abs() + mirror.abs())
                best = torch.where(flip, mirror, best)
                signs = torch.where(flip, -1.0, 1.0).to(self.ones)
                trial = trial.mirrored(signs)
                self.kept = {number: _flipped(z, signs) for number, z in self.kept.items()}
            total = float(best.sum())
        slope = total / loss.count if trial.has_slope else None
        return Oriented(trial, slope, self.update / loss.count, loss.value)


def _shares(trial: Trial, z: Tensor, ones: Tensor, goals: Mapping[str, Tensor]) -> Tensor:
    with torch.enable_grad():
        multipliers = ones.detach().clone().requires_grad_()
        deltas = trial.feature_slope(z, multipliers)
        parts = [(goals[name] * delta).sum() for name, delta in deltas.items()]
        (share,) = torch.autograd.grad(sum(parts[1:], start=parts[0]), multipliers)
    return share.double()


def _flipped(z: Tensor, signs: Tensor) -> Tensor:
    return z * (signs.view(-1, 1, 1) if z.dim() == 4 else signs)


def _inner(deltas: Mapping[str, Tensor], goals: Mapping[str, Tensor]) -> float:
    return sum(float((goals[name].double() * delta.double()).sum()) for name, delta in deltas.items())


class _Mean:
    """A mean over samples from means over batches."""

    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def add(self, mean: float, count: int) -> None:
        self.sum += mean * count
        self.count += count

    @property
    def value(self) -> float:
        return self.sum / self.count if self.count else math.nan


@contextmanager
def untouched(network: Network) -> Iterator[None]:
    """Whatever runs inside, buffers (running statistics) and the global RNG are afterwards as before."""
    saved = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in saved:
                buffer.copy_(value)
