"""What a change would do to pre-activations at any amplitude, from values that are already there.

Nothing is inserted to try it: new features are run beside the network and their effect on each child is
added to the child's pre-activation; the suffix of the graph does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight
from dagrow.build.emit import edge_module
from dagrow.flop_counter import layer_output, spend
from dagrow.graph import Dag, GrowableNode
from dagrow.mutation import Change, NewFeatures, WeightUpdate
from dagrow.ops import Activation
from dagrow.planner.batch_response import Deltas, Response, Values, add_delta, total
from dagrow.planner.feature_path import FeaturePath, edge_output, placed
from dagrow.planner.scaling import BOTH_SIDES, BothSides, Scaling
from dagrow.spec.graph import EdgeId


@dataclass(frozen=True)
class Trial:
    """A change at unit size, and how it scales.

    Attributes:
        network: that it is tried on.
        dag: the graph with the change's new nodes and edges in it.
        change: at unit size.
        site: where the change's features go; None without features.
        scaling: how its size is set.
    """

    network: Network
    dag: Dag
    change: Change
    site: GrowableNode | None = None
    scaling: Scaling = BOTH_SIDES

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """Nodes whose pre-activations change, in topological order."""
        names = {update.node for update in self.change.all_updates}
        if self.site is not None:
            names.update(reading.edge.target for reading in self.site.readings)
        return tuple(name for name in self.dag.order if name in names)

    @cached_property
    def _path(self) -> FeaturePath:
        """The way of the new features."""
        assert self.site is not None
        return FeaturePath(self.network, self.dag, self.site)

    @cached_property
    def _activations(self) -> list[Activation]:
        """What the new features pass."""
        return [] if self.site is None else self._path.activations

    @cached_property
    def normed(self) -> tuple[str, ...]:
        """Nodes with a norm that the new features pass."""
        return () if self.site is None else self._path.normed

    @property
    def fan_out_only(self) -> bool:
        """Whether amplitude acts on fan-out alone: where the fan-in is fixed, or a norm sets the scale."""
        return self.scaling.fan_in_fixed or bool(self.normed)

    @cached_property
    def linear(self) -> bool:
        """Whether the effect is proportional to the amplitude."""
        return self.fan_out_only or all(act.homogeneous for act in self._activations)

    @cached_property
    def has_slope(self) -> bool:
        """Whether the loss has a derivative at amplitude 0: not where act(0) lets a constant through."""
        return self.fan_out_only or all(act.at_zero == 0.0 for act in self._activations)

    @cached_property
    def has_sides(self) -> bool:
        """Whether it makes a difference, at first order, to mirror neurons, see `mirrored`."""
        return self.site is not None and not self.scaling.fan_in_fixed and self._path.has_sides

    def factors(self, amplitude: float) -> tuple[float, float]:
        """What fan-in and fan-out are multiplied by."""
        return self.scaling.factors(amplitude, bool(self.normed))

    def scaled(self, amplitude: float, silent: bool = False, trusted: bool = False) -> Change:
        """The change as it is inserted.

        Args:
            amplitude: of it.
            silent: leaves fan-out and updates at 0, so that nothing jumps.
            trusted: keeps pre-activations of new features within `TRUSTED`, whatever the amplitude.
        """
        fan_in, fan_out = self.factors(amplitude)
        if trusted and not self.fan_out_only:
            fan_in = self.scaling.trusted(fan_in)
        kept = 0.0 if silent and self.scaling.may_be_silenced else 1.0
        change = self.scaling.written(self.change)
        return replace(
            change,
            features=change.features and change.features.scaled(fan_in, kept * fan_out),
            updates=tuple(update.scaled(kept * amplitude) for update in change.updates),
        )

    def with_statistics(self, statistics: dict[str, tuple[Tensor, Tensor]]) -> Trial:
        """The same trial, knowing mean and variance of the new features before each norm; copies have those there."""
        if self.change.features is None or self.site is None:
            return self
        scaling, change = self.scaling.with_statistics(self.change, statistics, self.network, self.site)
        return replace(self, change=change, scaling=scaling)

    @cached_property
    def moved_layers(self) -> dict[EdgeId, EdgeWeight]:
        """Updates at unit size of edges that read what the change moves: their inputs are not those that are cached."""
        base, above = self.network.dag, set(self.changed)
        return {
            edge: weights
            for update in self.change.updates
            for edge, weights in update.weights.items()
            if edge in base.spec.edges and (edge.source in above or base.ancestors[edge.source] & above)
        }

    def written_below(self, amplitude: float) -> dict[str, Callable[[Tensor], Tensor]]:
        """What the updates of `moved_layers` add to what these layers write, by layer, given what they read."""
        fixed = self.scaling.fixed_amplitudes[1]
        factor = amplitude if fixed is None else fixed
        return {
            edge_module(edge): partial(_layer, self.network.dag, edge, weights.scaled(factor))
            for edge, weights in self.moved_layers.items()
        }

    def prepare(self, values: Values, z: Tensor | None = None, updates: Deltas | None = None) -> Response:
        """Does once per batch what no amplitude changes; `written_below` does the rest.

        Args:
            values: cached values of the batch.
            z: pre-activations of the new features at unit size, where they are known.
            updates: what `update_slope` gives, where it is known.
        """
        if self.moved_layers:
            updates = self._updated(self.change.updates, values, left_out=self.moved_layers)
        elif updates is None:
            updates = self.update_slope(values)
        constant = self._constant(values)
        features_at, updates_at = self.scaling.fixed_amplitudes
        if updates_at is not None:
            constant = total((constant, {node: delta * updates_at for node, delta in updates.items()}))
            updates = {}
        features = self.change.features
        if features is None:
            return Response(updates, None, constant)
        z = self.fan_in_response(values) if z is None else z
        if features_at is not None:
            fan_in, fan_out = self.factors(features_at)
            return Response(updates, None, total((constant, self._path.respond(features, z * fan_in, fan_out))))
        if self.linear:
            return Response(total((updates, self._path.respond(features, z, 1.0))), None, constant)

        def bent(amplitude: float) -> Deltas:
            fan_in, fan_out = self.factors(amplitude)
            return self._path.respond(features, z * fan_in, fan_out)

        return Response(updates, bent, constant, z)

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

    def with_fixed(self, features: float | None = None, updates: float | None = None) -> Trial:
        """The same trial with the amplitude of one part fixed, while that of the other is searched."""
        assert isinstance(self.scaling, BothSides)
        return replace(self, scaling=replace(self.scaling, fixed_amplitudes=(features, updates)))

    def update_slope(self, values: Values) -> Deltas:
        """Derivative by the amplitude of what the updates do."""
        return self._updated(self.change.updates, values)

    def _updated(self, updates: Iterable[WeightUpdate], values: Values, left_out: Container[EdgeId] = ()) -> Deltas:
        deltas: Deltas = {}
        for update in updates:
            for edge, weights in update.weights.items():
                if edge in left_out:
                    continue
                # An edge that goes is in the old graph, one that comes in the new.
                dag = self.dag if edge in self.dag.spec.edges else self.network.dag
                part, slot = edge_output(dag, edge, weights, values), dag.slots(update.node)[edge]
                add_delta(deltas, update.node, placed(self.dag, update.node, slot, part))
        return deltas

    def _constant(self, values: Values) -> Deltas:
        """What the change does whatever its amplitude."""
        constant = self.change.constant
        deltas = self._updated(constant.updates, values)
        if constant.features is None:
            return deltas
        kept = self._path.respond(constant.features, self._fan_in(constant.features, values), 1.0)
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
        features = self._features
        images = [(1.0, features, z)] if mirror is None else [(1.0, features, z), (-1.0, mirror._features, -z)]
        activation = None if self.fan_out_only else Activation.infinitesimal
        totals = [torch.zeros(features.count, dtype=torch.float64, device=z.device) for _ in images]
        ways = (self._path.reached(image, own, activation) for _, image, own in images)
        for reached in zip(*ways, strict=True):
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

    @property
    def _features(self) -> NewFeatures:
        assert self.change.features is not None
        return self.change.features

    def fan_in_response(self, values: Values) -> Tensor:
        """Pre-activations of the new features at unit size."""
        return self._fan_in(self._features, values)

    def _fan_in(self, features: NewFeatures, values: Values) -> Tensor:
        parts = [edge_output(self.dag, edge, weights, values) for edge, weights in features.fan_in.items()]
        return sum(parts[1:], start=parts[0])

    def before_norm(self, values: Values, name: str) -> Tensor:
        """The new features as they come to the norm of a node; norms before it must be known."""
        return self._path.before_norm(self._features, self.fan_in_response(values), name)


def _layer(dag: Dag, edge: EdgeId, weights: EdgeWeight, x: Tensor) -> Tensor:
    """What an edge with these weights writes, given what it reads."""
    return layer_output(dag.op(edge).functional(x, weights.weight, weights.bias), weights.weight)
