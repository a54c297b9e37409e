"""What is exported: a network, and what is done to values before it reads them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dagrow.build import Network
from dagrow.data import InputPreprocessing, Preprocessing
from dagrow.spec.graph import InputSpec


class StepBuffer(NamedTuple):
    """One fitted value of a step.

    Attributes:
        key: the input, the position of the step from 0, and the name of the value in it.
        value: of it.
    """

    key: tuple[str, int, str]
    value: Tensor


def step_buffers(preprocessing: Preprocessing | None) -> list[StepBuffer]:
    """The fitted values of all steps, in order."""
    return [
        StepBuffer((entry.name, number, name), value)
        for entry in (() if preprocessing is None else preprocessing.inputs)
        for number, step in enumerate(entry.steps)
        for name, value in step.buffers.items()
    ]


@dataclass(frozen=True, eq=False)
class ExportSubject:
    """A network on its way out.

    Attributes:
        network: on the CPU, in float32 and eval mode.
        name: of the run, for the reader of the export.
        preprocessing: what the export does to raw values; with None it reads what the network reads.
    """

    network: Network
    name: str = "network"
    preprocessing: Preprocessing | None = None

    def copy(self) -> ExportSubject:
        """The same with a network of its own."""
        return ExportSubject(copy.deepcopy(self.network), self.name, self.preprocessing)

    def module(self) -> nn.Module:
        """A module from raw values to outputs; its arguments are the inputs of the graph."""
        if self.preprocessing is None:
            return self.network
        layers = nn.ModuleList(map(_InputLayer, self.preprocessing.inputs))
        root = nn.ModuleDict({"network": self.network, "preprocessing": layers})
        graph = torch.fx.Graph()
        raw = [graph.placeholder(entry.name) for entry in self.preprocessing.inputs]
        read = tuple(graph.call_module(f"preprocessing.{number}", (x,)) for number, x in enumerate(raw))
        graph.output(graph.call_module("network", read))
        return torch.fx.GraphModule(root, graph).eval()

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Inputs of the export: such as the network reads as standard normal ones, or tokens.

        They are drawn from a generator of their own: the global one is not touched.
        """
        generator = torch.Generator("cpu").manual_seed(batch)
        read = tuple(_example(entry, batch, generator) for entry in self.network.spec.inputs.values())
        return read if self.preprocessing is None else self.preprocessing.raw(*read)

    def double(self) -> Callable[..., Any]:
        """The same function with the network in float64, as a measure of its rounding."""
        network = copy.deepcopy(self.network).double()
        prepare = self.preprocessing

        def exact(*inputs: Tensor) -> Any:
            return network(*(x.double() for x in (inputs if prepare is None else prepare(*inputs))))

        return exact


def _example(entry: InputSpec, batch: int, generator: torch.Generator) -> Tensor:
    shape = (batch, *entry.shape)
    if entry.vocabulary is not None:
        return torch.randint(entry.vocabulary, shape, generator=generator, device="cpu")
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")


class _InputLayer(nn.Module):
    """The steps of one input, with their fitted values as buffers."""

    def __init__(self, entry: InputPreprocessing) -> None:
        super().__init__()
        self.steps, self.as_they_are = entry.steps, entry.as_they_are
        for number, step in enumerate(entry.steps):
            for name, value in step.buffers.items():
                self.register_buffer(f"{name}_{number}", value)

    def forward(self, x: Tensor) -> Tensor:
        for number, step in enumerate(self.steps):
            x = step.compute(x, {name: self.get_buffer(f"{name}_{number}") for name in step.buffers})
        return x if self.as_they_are else x.float()
