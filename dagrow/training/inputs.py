"""The units in which a network reads the columns of a table while it is trained: mean 0, deviation 1.

Gradient descent, weight decay and random weights take all features to be alike. So a run that leaves
``data.standardize`` at ``auto`` is trained on ``(x - shift) / scale``, column by column, whatever the user measured in.
What is handed back, saved or exported has scale and shift in the weights and biases of its first layers, and reads the
user's values. Where they cannot be taken over (no linear layer with a bias reads the input), the inputs are
preprocessed as with ``standardize: true``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.emit import edge_module
from dagrow.data import Samples, TrainTestSplit, load_data
from dagrow.data.raw import Raw
from dagrow.data.scaling import moments
from dagrow.graph import Dag
from dagrow.objectives import LOSSES, Loss
from dagrow.ops import ACTIVATIONS, Op
from dagrow.ops.linear import Linear
from dagrow.registry import registry
from dagrow.spec import EdgeId, RunSpec

FAR = 1e3
"""Deviations of a mean from 0 up to which float32 carries a feature as it is: of more, digits would be lost."""
REACH = 10.0
"""Units that the largest value of a feature may have: the scale of a rare feature is not its tiny deviation."""


@dataclass(frozen=True)
class InputUnits:
    """The units of the inputs of a graph.

    Attributes:
        shift: ``[features]`` by the name of the input, of those that have units of their own.
        scale: likewise; infinite for a constant feature.
    """

    shift: Mapping[str, Tensor]
    scale: Mapping[str, Tensor]

    @classmethod
    def of(cls, dag: Dag, split: TrainTestSplit) -> InputUnits | None:
        """Those of the training samples; None where all inputs have a unit already."""
        shift, scale = {}, {}
        for number, (name, entry) in enumerate(dag.spec.inputs.items()):
            x, known = split.train.inputs[number], split.preprocessing
            kept = known is not None and known.inputs[number].steps
            if entry.values.positions or not isinstance(x, Tensor) or not x.is_floating_point() or kept:
                continue
            found = moments(x, entry.values)
            reach = torch.maximum(found.high - found.mean, found.mean - found.low) / REACH
            shift[name], scale[name] = found.mean, torch.maximum(found.deviation, reach)
        return cls(shift, scale) if shift else None

    @property
    def exact(self) -> bool:
        """Whether float32 weights that carry them lose nothing that counts."""
        return not any(bool((self.shift[name].abs() / scale > FAR).any()) for name, scale in self.scale.items())

    def split(self, split: TrainTestSplit, dag: Dag) -> TrainTestSplit:
        """The samples with their inputs in these units."""
        validation = None if split.validation is None else self._samples(split.validation, dag)
        train, test = self._samples(split.train, dag), self._samples(split.test, dag)
        return replace(split, train=train, test=test, validation=validation)

    def _samples(self, samples: Samples, dag: Dag) -> Samples:
        changed = tuple(
            ((x.double() - self.shift[name]) / self.scale[name]).to(x.dtype)
            if isinstance(x, Tensor) and name in self.shift
            else x
            for name, x in zip(dag.spec.inputs, samples.inputs, strict=True)
        )
        return replace(samples, inputs=changed)

    @torch.no_grad()
    def folded(self, network: Network) -> Network:
        """A copy of a network that was trained in these units, which reads the user's."""
        network = copy.deepcopy(network)
        for name, scale in self.scale.items():
            for edge in network.dag.outgoing[name]:
                weight = _weight(network, edge)
                in_users_units = weight.double() / scale.to(weight.device)
                weight.copy_(in_users_units)
                _bias(network, _carriers(network.dag, edge)[0]).sub_(
                    in_users_units @ self.shift[name].to(weight.device)
                )
        return network

    def entry(self) -> dict[str, Any]:
        """As plain data."""
        return {"shift": dict(self.shift), "scale": dict(self.scale)}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> InputUnits:
        """From plain data."""
        return cls(entry["shift"], entry["scale"])


def load_samples(
    run: RunSpec, dag: Dag, loss: Loss | None = None, given: Raw | None = None
) -> tuple[TrainTestSplit, InputUnits | None]:
    """The data of a run, and the units of its inputs where the network is to carry them.

    Args:
        run: the run.
        dag: its graph.
        loss: of the run; as its file says, if left out.
        given: samples that were given in Python, in place of those that the run names.

    Raises:
        DataError: as `load_data` does.
    """
    loss = loss or LOSSES[run.training.loss]
    if run.data.standardize == "auto" and _carries(run, dag):
        split = load_data(run.data.model_copy(update={"standardize": False}), dag, loss, run.seed, given)
        units = InputUnits.of(dag, split)
        if units is None:
            return split, None
        if units.exact:
            return units.split(split, dag), units
    return load_data(run.data, dag, loss, run.seed, given), None


def _carries(run: RunSpec, dag: Dag) -> bool:
    """Whether all that reads an input, now or later, takes over its scale and shift."""
    tables = [name for name, entry in dag.spec.inputs.items() if not entry.values.positions]
    readers = [edge for name in tables for edge in dag.outgoing[name]]
    if not all(isinstance(dag.op(edge), Linear) and _carriers(dag, edge) for edge in readers):
        return False
    templates = run.growth.new_node
    types = registry("kind of candidate")
    later = any(types[name].makes_nodes for name in run.growth.candidates)
    shifted = all(ACTIVATIONS[name].line == "shifted" for name in templates.activation)
    return not later or (set(templates.norm) == {"none"} and (shifted or "layer" not in run.growth.candidates))


def _carriers(dag: Dag, edge: EdgeId) -> Sequence[EdgeId]:
    """The edges whose bias is added to what an edge writes."""
    beside = (edge,) if dag.node(edge.target).merge == "concat" else dag.incoming[edge.target]
    return [other for other in beside if _biased(dag.op(other))]


def _biased(op: Op) -> bool:
    return isinstance(op, Linear) and op.bias


def _weight(network: Network, edge: EdgeId) -> Tensor:
    return network.get_parameter(f"{edge_module(edge)}.weight")


def _bias(network: Network, edge: EdgeId) -> Tensor:
    return network.get_parameter(f"{edge_module(edge)}.bias")
