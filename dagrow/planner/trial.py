"""What a change would do to pre-activations at any amplitude, from values that are already there.

Nothing is inserted to try it: new features are run beside the network and their effect on each child is
added to the child's pre-activation; the suffix of the graph does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from dagrow.build import Network, Value, output
from dagrow.graph import Dag, Reading, Site
from dagrow.mutation import Change, NewFeatures, WeightUpdate
from dagrow.ops import ACTIVATIONS, NORMS, Activation, channel_axis, channels

Values = dict[Value, Tensor]
"""Cached values of a forward pass."""

Deltas = dict[str, Tensor]
"""What is added to the pre-activations of some nodes."""


class Response:
    """What a trial does on one batch, as a function of the amplitude: ``constant + proportional g + bent(g)``.

    Args:
        proportional: the part that is proportional to the amplitude.
        bent: the part that is not; None where there is none.
        constant: the part that does not change.
        kept: tensors that ``bent`` holds on to, for the account of memory.
    """

    def __init__(
        self,
        proportional: Deltas,
        bent: Callable[[float], Deltas] | None = None,
        constant: Deltas | None = None,
        kept: Tensor | None = None,
    ) -> None:
        self.proportional, self.bent, self.constant = proportional, bent, dict(constant or {})
        self._started: Deltas = {}
        self._kept = kept

    def at(self, amplitude: float) -> Callable[[str, Tensor | None], Tensor]:
        """The response at an amplitude, to be added to pre-activations.

        Returns:
            ``(node, pre-activation) -> the changed one``; with None for the pre-activation, the change itself.
        """
        bent = {} if self.bent is None else self.bent(amplitude)

        def changed(node: str, base: Tensor | None) -> Tensor:
            value = self._start(node, base)
            part = self.proportional.get(node)
            if part is not None:
                value = part * amplitude if value is None else torch.add(value, part, alpha=amplitude)
            if node in bent:
                value = bent[node] if value is None else value + bent[node]
            assert value is not None
            return value

        return changed

    def _start(self, node: str, base: Tensor | None) -> Tensor | None:
        """The pre-activation with the constant part, made once."""
        if node not in self.constant:
            return base
        if base is None:
            return self.constant[node]
        if node not in self._started:
            self._started[node] = base + self.constant[node]
        return self._started[node]

    @property
    def bytes(self) -> int:
        """Memory that it holds, or will."""
        tensors = [*self.proportional.values(), *self.constant.values(), *self.constant.values()]
        tensors += [] if self._kept is None else [self._kept]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@dataclass(frozen=True)
class Trial:
    """A change at unit size, and how it scales.

    Attributes:
        network: that it is tried on.
        dag: its DAG.
        change: at unit size.
        site: where the change's features go; None without features.
        scale: amplitude at which the method itself would insert; the search starts around it.
        pinned: amplitude at which the features stay while that of the updates is searched; None if they move.
        pinned_updates: amplitude at which the updates stay while that of the features is searched.
    """

    network: Network
    dag: Dag
    change: Change
    site: Site | None = None
    scale: float = 1.0
    pinned: float | None = None
    pinned_updates: float | None = None

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """Nodes whose pre-activations change, in topological order."""
        names = {update.node for update in self.change.updates}
        if self.site is not None:
            names.update(reading.edge.target for reading in self.site.readings)
        return tuple(name for name in self.dag.order if name in names)

    @cached_property
    def needs(self) -> tuple[Value, ...]:
        """The cached values that `deltas` reads."""
        edges = [edge for update in self.change.updates for edge in update.weights]
        if self.change.features is not None:
            edges += list(self.change.features.fan_in)
        return tuple(dict.fromkeys(output(edge.source) for edge in edges))

    @cached_property
    def _tails(self) -> tuple[str, ...]:
        """Nodes whose norm, activation and pool the new features pass."""
        if self.site is None:
            return ()
        return (self.site.node, *self.site.passed)

    @cached_property
    def normed(self) -> tuple[str, ...]:
        """Of those, the nodes with a norm. With any, the norm sets the scale and amplitude acts on fan-out."""
        return tuple(name for name in self._tails if self.dag.node(name).norm != "none")

    @cached_property
    def linear(self) -> bool:
        """Whether the effect is proportional to the amplitude."""
        acts = [ACTIVATIONS[self.dag.node(name).activation] for name in self._tails]
        return bool(self.normed) or all(act.homogeneous for act in acts)

    @cached_property
    def has_slope(self) -> bool:
        """Whether the loss has a derivative at amplitude 0: not where act(0) lets a constant through."""
        acts = [ACTIVATIONS[self.dag.node(name).activation] for name in self._tails]
        return bool(self.normed) or all(act.at_zero == 0.0 for act in acts)

    def factors(self, amplitude: float) -> tuple[float, float]:
        """What fan-in and fan-out are multiplied by: the square root each, or fan-out alone behind a norm."""
        return (1.0, amplitude) if self.normed else (amplitude**0.5, amplitude**0.5)

    def scaled(self, amplitude: float, silent: bool = False) -> Change:
        """The change as it is inserted; ``silent`` leaves the fan-out at 0."""
        fan_in, fan_out = self.factors(amplitude)
        features = self.change.features
        return Change(
            features and features.scaled(fan_in, 0.0 if silent else fan_out),
            tuple(update.scaled(amplitude) for update in self.change.updates),
        )

    def with_statistics(self, statistics: dict[str, tuple[Tensor, Tensor]]) -> Trial:
        """The same trial, knowing mean and variance of the new features before each norm."""
        features = self.change.features
        if features is None:
            return self
        return replace(self, change=replace(self.change, features=replace(features, statistics=statistics)))

    def prepare(self, values: Values, z: Tensor | None = None, updates: Deltas | None = None) -> Response:
        """Does once per batch what no amplitude changes.

        Args:
            values: cached values of the batch.
            z: pre-activations of the new features at unit size, where they are known.
            updates: what `update_slope` gives, where it is known.
        """
        updates = self.update_slope(values) if updates is None else updates
        constant: Deltas = {}
        if self.pinned_updates is not None:
            constant = {node: delta * self.pinned_updates for node, delta in updates.items()}
            updates = {}
        features = self.change.features
        if features is None:
            return Response(updates, None, constant)
        z = self.fan_in_response(values) if z is None else z
        if self.pinned is not None:
            fan_in, fan_out = self.factors(self.pinned)
            return Response(updates, None, _total((constant, self._respond(features, z * fan_in, fan_out))))
        if self.linear:
            return Response(_total((updates, self._respond(features, z, 1.0))), None, constant)

        def bent(amplitude: float) -> Deltas:
            fan_in, fan_out = self.factors(amplitude)
            return self._respond(features, z * fan_in, fan_out)

        return Response(updates, bent, constant, z)

    @cached_property
    def has_sides(self) -> bool:
        """Whether a neuron and its mirror image ``(-alpha, -omega)`` differ at first order: kinks, norms, pools."""
        nodes = [self.dag.node(name) for name in self._tails]
        return any(
            not ACTIVATIONS[node.activation].smooth_at_zero
            or (node.norm != "none" and node.activation != "identity")
            or (node.pool is not None and node.pool.kind == "max")
            for node in nodes
        )

    def mirrored(self, signs: Tensor) -> Trial:
        """The same trial with some neurons replaced by their mirror images.

        Args:
            signs: ``[K]``, -1 for those to be mirrored, 1 for the others.
        """
        features = self.change.features
        if features is None:
            return self
        return replace(self, change=replace(self.change, features=features.mirrored(signs)))

    def without_updates(self) -> Trial:
        """The new features alone."""
        return replace(self, change=replace(self.change, updates=()))

    def with_updates(self, updates: tuple[WeightUpdate, ...], factor: float) -> Trial:
        """The same features with these updates, multiplied."""
        scaled = updates if factor == 1.0 else tuple(update.scaled(factor) for update in updates)
        return replace(self, change=replace(self.change, updates=scaled))

    def update_slope(self, values: Values) -> Deltas:
        """Derivative by the amplitude of what the updates do."""
        deltas: Deltas = {}
        for update in self.change.updates:
            for edge, (weight, bias) in update.weights.items():
                part = self.dag.op(edge).run(values[output(edge.source)], weight, bias)
                _add(deltas, update.node, self._placed(update.node, self.dag.slots(update.node)[edge], part))
        return deltas

    def shares(self, z: Tensor, goals: Mapping[str, Tensor]) -> Tensor:
        """What each new feature takes off the summed loss per unit of amplitude, at amplitude 0.

        Args:
            z: their pre-activations at unit size.
            goals: ``v_goal`` of every node that changes.

        Returns:
            ``[K]`` float64; their sum is ``-dL/dg``.
        """
        features = self.change.features
        assert features is not None
        total = torch.zeros(features.count, dtype=torch.float64, device=z.device)
        for reading, b in self._reached(z, None if self.normed else Activation.infinitesimal):
            edge, weight = reading.edge, features.fan_out[reading.edge]
            slot = self.dag.slots(edge.target)[edge]
            v = goals[edge.target]
            v = v.narrow(channel_axis(v), slot.start, slot.stop - slot.start)
            inner = (self.dag.op(edge).weight_gradient(b, v, weight) * weight).transpose(0, 1)
            total += inner.reshape(features.count, -1).sum(1, dtype=torch.float64)
        return total

    def fan_in_response(self, values: Values) -> Tensor:
        """Pre-activations of the new features at unit size."""
        features = self.change.features
        assert features is not None
        parts = [
            self.dag.op(edge).run(values[output(edge.source)], weight, bias)
            for edge, (weight, bias) in features.fan_in.items()
        ]
        return sum(parts[1:], start=parts[0])

    def before_norm(self, values: Values, name: str) -> Tensor:
        """The new features as they come to the norm of a node; norms before it must be known."""
        assert self.site is not None
        z = self.fan_in_response(values)
        if name == self.site.node:
            return z
        reading = next(r for r in self.site.readings if name in r.through)
        for passed in (self.site.node, *reading.through):
            if passed == name:
                return z
            z = self._tail(passed, z, None)
        raise AssertionError(f"'{name}' is not passed")

    def _respond(self, features: NewFeatures, z: Tensor, fan_out: float) -> Deltas:
        """What the children get of new features with pre-activations ``z``."""
        deltas: Deltas = {}
        for reading, b in self._reached(z, None):
            target, weight = reading.edge.target, features.fan_out[reading.edge]
            part = self.dag.op(reading.edge).run(b, weight * fan_out, None)
            _add(deltas, target, self._placed(target, self.dag.slots(target)[reading.edge], part))
        return deltas

    def _reached(
        self, z: Tensor, activation: Callable[[Activation, Tensor], Tensor] | None
    ) -> Iterator[tuple[Reading, Tensor]]:
        """Each edge that reads the new features, with what comes to it of their pre-activations ``z``."""
        assert self.site is not None
        reached: dict[tuple[str, ...], Tensor] = {(): self._tail(self.site.node, z, activation)}
        for reading in self.site.readings:
            for index, name in enumerate(reading.through):
                path = reading.through[: index + 1]
                if path not in reached:
                    reached[path] = self._tail(name, reached[path[:-1]], activation)
            yield reading, reached[reading.through]

    def _tail(self, name: str, z: Tensor, activation: Callable[[Activation, Tensor], Tensor] | None) -> Tensor:
        """Norm, activation, pool, flatten and dropout of a node, on its new features alone."""
        node, own = self.dag.node(name), ACTIVATIONS[self.dag.node(name).activation]
        if node.norm != "none":
            features = self.change.features
            assert features is not None
            mean, variance = features.statistics[name]
            module = self.network.get_submodule(f"{name}.norm")
            z = NORMS[node.norm].normalise(z, mean, variance, module)
        z = own.function(z) if activation is None else activation(own, z)
        if node.pool is not None:
            z = node.pool.run(z)
        if node.flatten and z.dim() > 2:
            z = z.flatten(1)
        if node.dropout > 0:
            z = nn.functional.dropout(z, node.dropout, self.network.training)
        return z

    def _placed(self, target: str, slot: slice, part: Tensor) -> Tensor:
        """Puts what an edge writes into its slot of a concat; the rest does not change."""
        size = channels(self.dag.merged(target))
        if slot.stop - slot.start == size:
            return part
        axis = channel_axis(part)
        shape = list(part.shape)
        shape[axis] = size
        whole = part.new_zeros(shape)
        whole.narrow(axis, slot.start, slot.stop - slot.start).copy_(part)
        return whole


def _add(deltas: Deltas, node: str, part: Tensor) -> None:
    deltas[node] = deltas[node] + part if node in deltas else part


def _total(parts: Iterable[Deltas]) -> Deltas:
    deltas: Deltas = {}
    for part in parts:
        for node, delta in part.items():
            _add(deltas, node, delta)
    return deltas
