"""Weight and bias of an edge: read from a network's state and written for it, in one form for all ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from dagrow.build.emit import edge_module
from dagrow.ops import Op
from dagrow.spec.graph import EdgeId


class EdgeWeight(NamedTuple):
    """What an edge has learned, or something to be added to it.

    Attributes:
        weight: output features first, input features second, however the layer keeps it.
        bias: ``[output features]``; None where the edge has none.
    """

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def read(cls, state: Mapping[str, Tensor], op: Op, edge: EdgeId) -> EdgeWeight:
        """Of an edge with that op, from the state of its network."""
        layer = edge_module(edge)
        return cls(op.from_layer_layout(state[f"{layer}.weight"]), state.get(f"{layer}.bias"))

    def entries(self, op: Op, edge: EdgeId) -> dict[str, Tensor]:
        """The tensors of the edge's layer, as it keeps them, by their keys in the network's state."""
        layer = edge_module(edge)
        weight = {f"{layer}.weight": op.to_layer_layout(self.weight)}
        return weight if self.bias is None else {**weight, f"{layer}.bias": self.bias}

    def mapped(self, function: Callable[[Tensor], Tensor]) -> EdgeWeight:
        """What a function makes of both."""
        return EdgeWeight(function(self.weight), None if self.bias is None else function(self.bias))

    def scaled(self, factor: float) -> EdgeWeight:
        """Both multiplied."""
        return self.mapped(lambda values: values * factor)

    def __neg__(self) -> EdgeWeight:
        return self.mapped(torch.neg)

    def to(self, dtype: torch.dtype) -> EdgeWeight:
        """Both in a dtype."""
        return self.mapped(lambda values: values.to(dtype))

    def per_output(self, factors: Tensor) -> EdgeWeight:
        """Each output feature multiplied by its factor."""
        return self.mapped(lambda values: values * factors.view(-1, *[1] * (values.dim() - 1)))

    def followed_by(self, other: EdgeWeight) -> EdgeWeight:
        """The output features of both, those of ``other`` last; it has a bias if this one does."""
        bias = None
        if self.bias is not None:
            assert other.bias is not None
            bias = torch.cat([self.bias, other.bias])
        return EdgeWeight(torch.cat([self.weight, other.weight]), bias)


EdgeWeights = dict[EdgeId, EdgeWeight]
"""By edge."""
