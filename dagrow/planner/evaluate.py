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

from dagrow.build import Network, Value, merged, output, probe, suffix
from dagrow.graph import Dag
from dagrow.planner.trial import Trial, Values
from dagrow.statistics import Batch, LossFunction, Stream, rows

_BATCH_SEED = 0x6A09


@dataclass(frozen=True)
class Measured:
    """Mean losses, over all samples and over the held-out ones (NaN where none are held out)."""

    everywhere: float
    held_out: float


class Evaluator:
    """Runs trials on the samples of a stream.

    Args:
        network: in the mode in which losses are to be measured. Buffers and RNG are left as they were.
        loss: mean loss of a batch.
        stream: the samples.
        trials: all that may be asked about.
    """

    def __init__(self, network: Network, loss: LossFunction, stream: Stream, trials: Sequence[Trial]) -> None:
        self.network, self.loss, self.stream = network, loss, stream
        self.dag: Dag = network.dag
        self._suffixes: dict[tuple[str, ...], tuple[fx.GraphModule, tuple[Value, ...]]] = {}
        wanted: dict[Value, None] = {}
        for trial in trials:
            if trial.changed not in self._suffixes:
                self._suffixes[trial.changed] = suffix(network, self.dag, trial.changed)
            _, given = self._suffixes[trial.changed]
            wanted.update(dict.fromkeys(value for value in given if value.stage != "delta"))
            wanted.update(dict.fromkeys(trial.needs))
            wanted.update(dict.fromkeys(merged(name) for name in trial.changed))
        self.wanted = tuple(wanted)
        self.inner = tuple(value for value in wanted if value.node not in self.dag.spec.inputs)
        self.probe = probe(network, self.dag, self.inner)

    def search(
        self, asked: Sequence[tuple[Trial, Sequence[float]]]
    ) -> tuple[float, list[dict[float, float]]]:
        """One pass: the loss as it is and each trial's losses, on the held-out samples if there are any.

        Args:
            asked: trials with the amplitudes to try.

        Returns:
            The starting loss, and per trial the losses by amplitude.
        """
        start = _Mean()
        sums = [{amplitude: _Mean() for amplitude in amplitudes} for _, amplitudes in asked]
        for batch, values, outs in self._forward():
            mask = batch.held if self.stream.held_out > 0 else None
            if mask is not None and not bool(mask.any()):
                continue
            target, count = batch.target, batch.size
            after = mask
            if mask is not None:
                target, count = rows(batch.target, mask), int(mask.sum())
                if not self.network.training:
                    # In eval mode samples do not see one another: only those that count are run.
                    values, after = {v: x[mask] for v, x in values.items()}, None
            start.add(self._loss(outs, target, mask), count)
            for (trial, amplitudes), means in zip(asked, sums, strict=True):
                response = trial.prepare(values)
                for amplitude in amplitudes:
                    changed = self._run_suffix(trial, values, response(amplitude), batch)
                    means[amplitude].add(self._loss(changed, target, after), count)
        return start.value, [{a: mean.value for a, mean in means.items()} for means in sums]

    def measure(self, asked: Sequence[tuple[Trial, float]]) -> tuple[Measured, list[Measured]]:
        """One pass: losses as they are and with each trial at its amplitude, on all samples and held out."""
        start = (_Mean(), _Mean())
        sums = [(_Mean(), _Mean()) for _ in asked]
        for batch, values, outs in self._forward():
            self._add_both(start, outs, batch)
            for (trial, amplitude), means in zip(asked, sums, strict=True):
                changed = self._run_suffix(trial, values, trial.prepare(values)(amplitude), batch)
                self._add_both(means, changed, batch)
        both = [Measured(first.value, second.value) for first, second in (start, *sums)]
        return both[0], both[1:]

    def slopes(self, trials: Sequence[Trial]) -> list[float | None]:
        """``-dL/dg`` at amplitude 0 over all samples, from the data; None where there is no derivative."""
        asked = [trial for trial in trials if trial.has_slope]
        sums = {id(trial): _Mean() for trial in asked}
        nodes = tuple(dict.fromkeys(name for trial in asked for name in trial.changed))
        if not nodes:
            return [None for _ in trials]
        for batch, values, outs in self._forward(gradients=True):
            target = batch.target
            with torch.enable_grad():
                mean = self.loss(outs[0] if len(outs) == 1 else outs, target)
                pre = [values[merged(name)] for name in nodes]
                found = torch.autograd.grad(mean, pre, allow_unused=True)
            gradient = dict(zip(nodes, found, strict=True))
            plain = {value: x.detach() for value, x in values.items()}
            for trial in asked:
                drop = 0.0
                for name, delta in trial.infinitesimal(plain).items():
                    g = gradient[name]
                    if g is not None:
                        drop -= float((g.double() * delta.double()).sum())
                sums[id(trial)].add(drop, batch.size)
        return [sums[id(trial)].value if trial.has_slope else None for trial in trials]

    def with_norm_statistics(self, trial: Trial) -> Trial:
        """Measures mean and variance of the new features before each norm they pass, in order."""
        known: dict[str, tuple[Tensor, Tensor]] = {}
        for name in trial.normed:
            total, squares, count = torch.zeros(()), torch.zeros(()), 0
            for _, values, _ in self._forward():
                z = trial.with_statistics(known).before_norm(values, name)
                columns = z.double().transpose(0, 1).flatten(1)
                total, squares = total + columns.sum(1), squares + columns.square().sum(1)
                count += columns.shape[1]
            mean = total / count
            # As batch norm keeps it: the unbiased variance.
            variance = (squares / count - mean.square()).clamp(min=0) * count / max(1, count - 1)
            dtype = next(iter(self.network.parameters())).dtype
            known[name] = (mean.to(dtype), variance.to(dtype))
        return trial.with_statistics(known) if known else trial

    def _forward(self, gradients: bool = False) -> Iterator[tuple[Batch, Values, tuple[Tensor, ...]]]:
        """Each batch with the cached values and the outputs."""
        for number, batch in enumerate(self.stream):
            inputs = batch.inputs
            if gradients:
                inputs = tuple(x.detach().requires_grad_() if x.is_floating_point() else x for x in inputs)
            with torch.set_grad_enabled(gradients):
                torch.manual_seed(_BATCH_SEED + number)
                results = self.probe(*inputs)
            count = len(self.dag.spec.outputs)
            values = dict(zip(self.inner, results[count:], strict=True))
            names = self.dag.spec.inputs
            values.update({output(name): x for name, x in zip(names, inputs, strict=True)})
            with torch.set_grad_enabled(gradients):
                yield batch, values, results[:count]

    def _run_suffix(
        self, trial: Trial, values: Values, deltas: Mapping[str, Tensor], batch: Batch
    ) -> tuple[Tensor, ...]:
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
