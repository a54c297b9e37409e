"""New features run beside the network: from the sources of their node to the edges that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from dagrow.build import Network, output_of
from dagrow.build.edge_weight import EdgeWeight
from dagrow.flop_counter import layer_output
from dagrow.graph import Consumer, Dag, GrowableNode
from dagrow.mutation import NewFeatures
from dagrow.ops import ACTIVATIONS, NORMS, Activation
from dagrow.planner.batch_response import Deltas, Values, add_delta
from dagrow.spec.graph import EdgeId, NodeSpec
from dagrow.stages import NodeTail, run_stages

Act = Callable[[Activation, Tensor], Tensor]
"""What stands in for the activations on the way."""


@dataclass(frozen=True)
class FeaturePath:
    """Where the new features of a change go.

    Attributes:
        network: that they are tried on.
        dag: the graph with the change's new nodes and edges in it.
        site: where they go.
    """

    network: Network
    dag: Dag
    site: GrowableNode

    @property
    def names(self) -> tuple[str, ...]:
        """Nodes whose norm, activation and pool they pass."""
        return (self.site.node, *self.site.passed)

    @property
    def nodes(self) -> list[NodeSpec]:
        """The same nodes, as they are declared."""
        return [self.dag.node(name) for name in self.names]

    @property
    def activations(self) -> list[Activation]:
        """Theirs."""
        return [ACTIVATIONS[node.activation] for node in self.nodes]

    @property
    def normed(self) -> tuple[str, ...]:
        """Of them, the nodes with a norm."""
        return tuple(name for name in self.names if self.dag.node(name).norm != "none")

    @property
    def has_sides(self) -> bool:
        """Whether a neuron and its mirror image ``(-alpha, -omega)`` differ at first order: kinks, norms, pools."""
        return any(
            not ACTIVATIONS[node.activation].smooth_at_zero
            or (node.norm != "none" and node.activation != "identity")
            or (node.pool is not None and not node.pool.is_linear)
            for node in self.nodes
        )

    def before_norm(self, features: NewFeatures, z: Tensor, name: str) -> Tensor:
        """The features as they come to the norm of a node; norms before it must be known."""
        if name == self.site.node:
            return z
        reading = next(r for r in self.site.readings if name in r.through)
        for passed in (self.site.node, *reading.through):
            if passed == name:
                return z
            z = self._tail(features, passed, z, None)
        raise AssertionError(f"'{name}' is not passed")

    def respond(self, features: NewFeatures, z: Tensor, fan_out: float) -> Deltas:
        """What the children get of new features with pre-activations ``z``."""
        deltas: Deltas = {}
        for reading, b in self.reached(features, z, None):
            target, weight = reading.edge.target, features.fan_out[reading.edge]
            part = layer_output(self.dag.op(reading.edge).functional(b, weight * fan_out, None), weight)
            add_delta(deltas, target, placed(self.dag, target, self.dag.slots(target)[reading.edge], part))
        return deltas

    def reached(self, features: NewFeatures, z: Tensor, activation: Act | None) -> Iterator[tuple[Consumer, Tensor]]:
        """Each edge that reads the new features, with what comes to it of their pre-activations ``z``."""
        reached: dict[tuple[str, ...], Tensor] = {(): self._tail(features, self.site.node, z, activation)}
        for reading in self.site.readings:
            for index, name in enumerate(reading.through):
                path = reading.through[: index + 1]
                if path not in reached:
                    reached[path] = self._tail(features, name, reached[path[:-1]], activation)
            yield reading, reached[reading.through]

    def _tail(self, features: NewFeatures, name: str, z: Tensor, activation: Act | None) -> Tensor:
        """All stages of a node, on its new features alone."""

        def normalised(name: str, z: Tensor) -> Tensor:
            norm = NORMS[self.dag.node(name).norm]
            z = norm.normalise(z, *features.statistics[name], self._norm(name))
            return norm.scaled(z, *features.learned[name]) if name in features.learned else z

        how = NodeTail(normalised, activation, self.network.training)
        return run_stages(name, self.dag.node(name), self.dag.merged(name), z, how)

    def _norm(self, name: str) -> nn.Module:
        """The norm layer of a node; of a new node, one like it will be."""
        if name in self.network.spec.nodes:
            return self.network.get_submodule(f"{name}.norm")
        return NORMS[self.dag.node(name).norm].module(self.dag.merged(name)).train(self.network.training)


def edge_output(dag: Dag, edge: EdgeId, weights: EdgeWeight, values: Values) -> Tensor:
    """What an edge writes with some weight and bias, of cached values."""
    weight, bias = weights
    return layer_output(dag.op(edge).functional(output_of(values, dag, edge.source), weight, bias), weight)


def placed(dag: Dag, target: str, slot: slice, part: Tensor) -> Tensor:
    """Puts what an edge writes into its slot of a concat; the rest does not change."""
    size, axis = dag.size(target), dag.merged(target).batch_axis
    if slot.stop - slot.start == size:
        return part
    shape = list(part.shape)
    shape[axis] = size
    whole = part.new_zeros(shape)
    whole.narrow(axis, slot.start, slot.stop - slot.start).copy_(part)
    return whole
