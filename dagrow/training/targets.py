"""Where training begins at the output: targets of a regression in units of their deviation, classes at their priors.

A network whose weights are drawn puts out values of about 1. Where targets have another mean and scale, gradient
descent would first have to learn these. So a regression is trained on ``(target - shift) / scale``, with its loss
multiplied by ``scale^2``: losses, gains and scores stay in the user's units. What is handed back, saved or exported
has the weights of its output multiplied by the scale, and the shift in its bias.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from dagrow.build import Network
from dagrow.build.emit import edge_module
from dagrow.data import Samples, TrainTestSplit
from dagrow.graph import Dag
from dagrow.spec import RunSpec
from dagrow.training.class_weights import class_weights


@dataclass(frozen=True)
class TargetUnits:
    """The units of the targets of the only output.

    Attributes:
        shift: ``[features]``, mean of each over the training samples.
        scale: root mean square deviation from it, of all of them.
    """

    shift: Tensor
    scale: float

    @classmethod
    def of(cls, run: RunSpec, dag: Dag, split: TrainTestSplit) -> TargetUnits | None:
        """Those of the training samples; None where the run does not ask for it, or the output could not carry them."""
        training = run.training
        if not training.standardize_targets or training.loss != "mse" or training.custom_loss or not _carries(dag):
            return None
        values = split.train.targets[0].double().flatten(1)
        shift = values.mean(0)
        scale = float((values - shift).square().mean().sqrt())
        return cls(shift, scale) if scale > 0 else None

    def split(self, split: TrainTestSplit) -> TrainTestSplit:
        """The samples with their targets in these units."""
        validation = None if split.validation is None else self._samples(split.validation)
        return replace(split, train=self._samples(split.train), test=self._samples(split.test), validation=validation)

    def _samples(self, samples: Samples) -> Samples:
        (target,) = samples.targets
        shifted = ((target.double() - self.shift.to(target.device)) / self.scale).to(target.dtype)
        return replace(samples, targets=(shifted,))

    @torch.no_grad()
    def folded(self, network: Network) -> Network:
        """A copy of a network that was trained in these units, which puts out the user's."""
        network = copy.deepcopy(network)
        layers = _output_layers(network)
        for layer in layers:
            for parameter in layer.parameters():
                parameter.mul_(self.scale)
        bias = _biases(layers)[0]
        bias.add_(self.shift.to(bias))
        return network

    def in_user_units(self, values: Tensor) -> Tensor:
        """Outputs or targets ``[samples, features]`` of these units in the user's."""
        return (values.double() * self.scale + self.shift.to(values.device)).to(values.dtype)

    def entry(self) -> dict[str, Any]:
        """As plain data."""
        return {"shift": self.shift.tolist(), "scale": self.scale}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> TargetUnits:
        """From plain data."""
        return cls(torch.tensor(entry["shift"], dtype=torch.float64), float(entry["scale"]))


def _carries(dag: Dag) -> bool:
    """Whether a scale and a shift of the output can be taken over by the weights and a bias that lead into it."""
    if len(dag.spec.outputs) != 1:
        return False
    (name,) = dag.spec.outputs
    node, ops = dag.node(name), [dag.op(edge) for edge in dag.incoming[name]]
    plain = node.norm == "none" and node.activation == "identity" and node.pool is None and node.merge == "sum"
    plain = plain and node.attention is None
    vector = dag.output(name).positions == ()
    return plain and vector and all(op.parametrised for op in ops) and any(getattr(op, "bias", False) for op in ops)


def _output_layers(network: Network) -> list[nn.Module]:
    (name,) = network.spec.outputs
    return [network.get_submodule(edge_module(edge)) for edge in network.dag.incoming[name]]


def _biases(layers: Sequence[nn.Module]) -> list[Tensor]:
    return [layer.bias for layer in layers if isinstance(layer.bias, Tensor)]


@torch.no_grad()
def begin_at_priors(run: RunSpec, network: Network, split: TrainTestSplit) -> None:
    """Sets the biases of the output to the logarithms of the classes' shares, so that training begins at them."""
    if not run.training.standardize_targets or run.training.loss != "cross_entropy" or not _carries(network.dag):
        return
    (target,) = split.train.targets
    (name,) = network.spec.outputs
    counts = torch.bincount(target.flatten().cpu(), minlength=network.dag.size(name)).double()
    for weights in class_weights(run, split):
        counts = counts * weights.cpu().double()
    biases = _biases(_output_layers(network))
    for bias in biases:
        bias.zero_()
    biases[0].copy_(((counts + 1) / (counts + 1).sum()).log())
