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

from dagrow.build import Network, output_of
from dagrow.flop_counter import layer_output, spend
from dagrow.graph import Consumer, Dag, GrowableNode
from dagrow.mutation import Change, NewFeatures, WeightUpdate
from dagrow.ops import ACTIVATIONS, NORMS, Activation
from dagrow.planner.batch_response import Deltas, Response, Values, add_delta, total
from dagrow.planner.norm_statistics_of_copies import with_norms
from dagrow.stages import NodeTail, run_stages

TRUSTED = (0.5, 2.0)
"""Root mean square of new pre-activations that training can live with: where activations bend, and not far out."""


@dataclass(frozen=True)
class Trial:
    """A change at unit size, and how it scales.

    Attributes:
        network: that it is tried on.
        dag: the graph with the change's new nodes and edges in it.
        change: at unit size.
        site: where the change's features go; None without features.
        scale: amplitude at which the method itself would insert; the search starts around it.
        fan_in_fixed: whether the features keep their fan-in, so that amplitude acts on fan-out alone.
        still: it is inserted as it is made: there is no amplitude to search.
        bounded: likewise, at amplitude 1, but it changes something, and its gain is measured.
        made: what is inserted in place of the change, where that is the same function in fewer new features.
        copied: ``[K]`` which neuron each new feature is a copy of, and has the norm of; -1 for none, None if none is.
        pinned: amplitude at which the features stay while that of the updates is searched; None if they move.
        pinned_updates: amplitude at which the updates stay while that of the features is searched.
        spread: root mean square of the new pre-activations at unit size; None where it is not known.
    """

    network: Network
    dag: Dag
    change: Change
    site: GrowableNode | None = None
    scale: float = 1.0
    fan_in_fixed: bool = False
    still: bool = False
    bounded: bool = False
    made: Change | None = None
    copied: Tensor | None = None
    pinned: float | None = None
    pinned_updates: float | None = None
    spread: float | None = None

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """Nodes whose pre-activations change, in topological order."""
        names = {update.node for update in self.change.all_updates}
        if self.site is not None:
            names.update(reading.edge.target for reading in self.site.readings)
        return tuple(name for name in self.dag.order if name in names)

    @cached_property
    def _tails(self) -> tuple[str, ...]:
        """Nodes whose norm, activation and pool the new features pass."""
        if self.site is None:
            return ()
        return (self.site.node, *self.site.passed)

    @cached_property
    def normed(self) -> tuple[str, ...]:
        """Of those, the nodes with a norm."""
        return tuple(name for name in self._tails if self.dag.node(name).norm != "none")

    @property
    def fan_out_only(self) -> bool:
        """Whether amplitude acts on fan-out alone: where the fan-in is fixed, or a norm sets the scale."""
        return self.fan_in_fixed or bool(self.normed)

    @cached_property
    def linear(self) -> bool:
        """Whether the effect is proportional to the amplitude."""
        acts = [ACTIVATIONS[self.dag.node(name).activation] for name in self._tails]
        return self.fan_out_only or all(act.homogeneous for act in acts)

    @cached_property
    def has_slope(self) -> bool:
        """Whether the loss has a derivative at amplitude 0: not where act(0) lets a constant through."""
        acts = [ACTIVATIONS[self.dag.node(name).activation] for name in self._tails]
        return self.fan_out_only or all(act.at_zero == 0.0 for act in acts)

    @property
    def fixed(self) -> bool:
        """Whether there is nothing to be scaled: all is done as it stands, and need not gain."""
        return self.still or (self.change.features is None and not self.change.updates)

    @property
    def searched(self) -> bool:
        """Whether there is an amplitude to be searched; what has none enters as its method made it."""
        return not self.fixed and not self.bounded

    @property
    def kept_silent(self) -> bool:
        """Whether ``silent`` has nothing to do: what is still has an empty side already, and needs the other one.

        Not where the fan-in is what was chosen: then there is a small fan-out, which can be left at 0.
        """
        return self.still and not self.fan_in_fixed

    def factors(self, amplitude: float) -> tuple[float, float]:
        """What fan-in and fan-out are multiplied by: the square root each, or fan-out alone behind a norm."""
        if self.still:
            return 1.0, 1.0
        return (1.0, amplitude) if self.fan_out_only else (amplitude**0.5, amplitude**0.5)

    def scaled(self, amplitude: float, silent: bool = False, trusted: bool = False) -> Change:
        """The change as it is inserted.

        Args:
            amplitude: of it.
            silent: leaves fan-out and updates at 0, so that nothing jumps.
            trusted: keeps pre-activations of new features within `TRUSTED`, whatever the amplitude.
        """
        fan_in, fan_out = self.factors(amplitude)
        if trusted and self.spread and self.searched and not self.fan_out_only:
            low, high = TRUSTED
            fan_in = min(max(fan_in * self.spread, low), high) / self.spread
        loud = 0.0 if silent and not self.kept_silent else 1.0
        change = self.made or self.change
        return replace(
            change,
            features=change.features and change.features.scaled(fan_in, loud * fan_out),
            updates=tuple(update.scaled(loud * amplitude) for update in change.updates),
        )

    def with_statistics(self, statistics: dict[str, tuple[Tensor, Tensor]]) -> Trial:
        """The same trial, knowing mean and variance of the new features before each norm; copies have those there."""
        features, made = self.change.features, self.made
        if features is None:
            return self
        features = replace(features, statistics=statistics)
        if self.copied is not None and self.site is not None:
            if made is not None and made.features is not None:
                # They are the first of those that are tried.
                own = replace(made.features, statistics=statistics)
                copied = self.copied[: own.count]
                made = replace(made, features=with_norms(self.network, self.site, own, copied))
            features = with_norms(self.network, self.site, features, self.copied)
        return replace(self, change=replace(self.change, features=features), made=made)

    def prepare(self, values: Values, z: Tensor | None = None, updates: Deltas | None = None) -> Response:
        """Does once per batch what no amplitude changes.

        Args:
            values: cached values of the batch.
            z: pre-activations of the new features at unit size, where they are known.
            updates: what `update_slope` gives, where it is known.
        """
        updates = self.update_slope(values) if updates is None else updates
        constant = self._constant(values)
        if self.pinned_updates is not None:
            constant = total((constant, {node: delta * self.pinned_updates for node, delta in updates.items()}))
            updates = {}
        features = self.change.features
        if features is None:
            return Response(updates, None, constant)
        z = self.fan_in_response(values) if z is None else z
        if self.pinned is not None:
            fan_in, fan_out = self.factors(self.pinned)
            return Response(updates, None, total((constant, self._respond(features, z * fan_in, fan_out))))
        if self.linear:
            return Response(total((updates, self._respond(features, z, 1.0))), None, constant)

        def bent(amplitude: float) -> Deltas:
            fan_in, fan_out = self.factors(amplitude)
            return self._respond(features, z * fan_in, fan_out)

        return Response(updates, bent, constant, z)

    @cached_property
    def has_sides(self) -> bool:
        """Whether a neuron and its mirror image ``(-alpha, -omega)`` differ at first order: kinks, norms, pools."""
        nodes = [self.dag.node(name) for name in self._tails]
        return not self.fan_in_fixed and any(
            not ACTIVATIONS[node.activation].smooth_at_zero
            or (node.norm != "none" and node.activation != "identity")
            or (node.pool is not None and not node.pool.is_linear)
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

    def flipped(self, z: Tensor, signs: Tensor) -> Tensor:
        """Pre-activations of the new features as `mirrored` has them."""
        return z if self.site is None else z * self.dag.merged(self.site.node).per_channel(signs)

    def without_updates(self) -> Trial:
        """The new features alone."""
        return replace(self, change=replace(self.change, updates=()))

    def with_updates(self, updates: tuple[WeightUpdate, ...], factor: float) -> Trial:
        """The same features with these updates, multiplied."""
        scaled = updates if factor == 1.0 else tuple(update.scaled(factor) for update in updates)
        return replace(self, change=replace(self.change, updates=scaled))

    def update_slope(self, values: Values) -> Deltas:
        """Derivative by the amplitude of what the updates do."""
        return self._updated(self.change.updates, values)

    def _updated(self, updates: Iterable[WeightUpdate], values: Values) -> Deltas:
        deltas: Deltas = {}
        for update in updates:
            for edge, (weight, bias) in update.weights.items():
                # An edge that goes is in the old graph, one that comes in the new.
                dag = self.dag if edge in self.dag.spec.edges else self.network.dag
                part = layer_output(dag.op(edge).run(output_of(values, dag, edge.source), weight, bias), weight)
                add_delta(deltas, update.node, self._placed(update.node, dag.slots(update.node)[edge], part))
        return deltas

    def _constant(self, values: Values) -> Deltas:
        """What the change does whatever its amplitude."""
        constant = self.change.constant
        deltas = self._updated(constant.updates, values)
        if constant.features is None:
            return deltas
        kept = self._respond(constant.features, self._fan_in(constant.features, values), 1.0)
        for edge, bias in constant.biases.items():
            delta = kept[edge.target]
            kept[edge.target] = delta + self.dag.merged(edge.target).per_channel(bias)
        return total((deltas, kept))

    def shares(self, z: Tensor, goals: Mapping[str, Tensor], mirror: Trial | None) -> list[Tensor]:
        """What each new feature takes off the summed loss per unit of amplitude, at amplitude 0.

        Args:
            z: their pre-activations at unit size.
            goals: ``v_goal`` of every node that changes.
            mirror: the trial with all of them mirrored, whose shares are wanted as well; None if they are not.

        Returns:
            ``[K]`` float64 per trial; their sum is its ``-dL/dg``.
        """
        features = self.change.features
        assert features is not None
        images = [(1.0, self, z)] if mirror is None else [(1.0, self, z), (-1.0, mirror, -z)]
        activation = None if self.fan_out_only else Activation.infinitesimal
        totals = [torch.zeros(features.count, dtype=torch.float64, device=z.device) for _ in images]
        for reached in zip(*(image._reached(own, activation) for _, image, own in images), strict=True):
            (reading, b), *_ = reached
            edge = reading.edge
            weight, slot = features.fan_out[edge], self.dag.slots(edge.target)[edge]
            v = goals[edge.target]
            v = v.narrow(self.dag.merged(edge.target).batch_axis, slot.start, slot.stop - slot.start)
            spend(v.numel() * weight[:1].numel())
            # The mirror image has the same fan-out but for the sign.
            asked = self.dag.op(edge).input_gradient(b, v, weight)
            others = (0, *self.dag.output(edge.source).position_axes)
            for share, (sign, _, _), (_, own) in zip(totals, images, reached, strict=True):
                inner = (own * asked).sum(others).reshape(features.count, -1)
                share += sign * inner.sum(1, dtype=torch.float64)
        return totals

    def fan_in_response(self, values: Values) -> Tensor:
        """Pre-activations of the new features at unit size."""
        assert self.change.features is not None
        return self._fan_in(self.change.features, values)

    def _fan_in(self, features: NewFeatures, values: Values) -> Tensor:
        parts = [
            layer_output(self.dag.op(edge).run(output_of(values, self.dag, edge.source), weight, bias), weight)
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
            part = layer_output(self.dag.op(reading.edge).run(b, weight * fan_out, None), weight)
            add_delta(deltas, target, self._placed(target, self.dag.slots(target)[reading.edge], part))
        return deltas

    def _reached(
        self, z: Tensor, activation: Callable[[Activation, Tensor], Tensor] | None
    ) -> Iterator[tuple[Consumer, Tensor]]:
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
        """All stages of a node, on its new features alone."""
        how = NodeTail(self._normalised, activation, self.network.training)
        return run_stages(name, self.dag.node(name), self.dag.merged(name), z, how)

    def _normalised(self, name: str, z: Tensor) -> Tensor:
        """The new features as the norm of a node will make them."""
        norm, features = NORMS[self.dag.node(name).norm], self.change.features
        assert features is not None
        z = norm.normalise(z, *features.statistics[name], self._norm(name))
        return norm.scaled(z, *features.learned[name]) if name in features.learned else z

    def _norm(self, name: str) -> nn.Module:
        """The norm layer of a node; of a new node, one like it will be."""
        if name in self.network.spec.nodes:
            return self.network.get_submodule(f"{name}.norm")
        return NORMS[self.dag.node(name).norm].module(self.dag.merged(name)).train(self.network.training)

    def _placed(self, target: str, slot: slice, part: Tensor) -> Tensor:
        """Puts what an edge writes into its slot of a concat; the rest does not change."""
        size, axis = self.dag.size(target), self.dag.merged(target).batch_axis
        if slot.stop - slot.start == size:
            return part
        shape = list(part.shape)
        shape[axis] = size
        whole = part.new_zeros(shape)
        whole.narrow(axis, slot.start, slot.stop - slot.start).copy_(part)
        return whole
