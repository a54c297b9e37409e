"""The activations of a node, and what growth needs to know of each near 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from dagrow.registry import Registry

_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717


@dataclass(frozen=True)
class Activation:
    """A pointwise function.

    Attributes:
        name: as in the spec.
        function: values in, values out.
        module: makes the ``nn`` module.
        export_line: the Python expression of the module.
        slope_left: derivative at 0 from below.
        slope_right: derivative at 0 from above.
        at_zero: value at 0.
        homogeneous: whether ``act(c z) = c act(z)`` for every c > 0.
        call: the Python expression of the function, ``{}`` where its argument goes.
        line: how units of it hand a value on: ``exact``, as it is; ``pairs``, ``act(z) - act(-z)`` is proportional to
            z; ``shifted``, act is linear from 0 on; ``small``, it is nearly linear close to 0.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    module: Callable[[], nn.Module]
    export_line: str
    slope_left: float = 1.0
    slope_right: float = 1.0
    at_zero: float = 0.0
    homogeneous: bool = False
    call: str = ""
    line: Literal["exact", "pairs", "shifted", "small"] = "small"

    @property
    def smooth_at_zero(self) -> bool:
        """Whether the slope at 0 is one number."""
        return self.slope_left == self.slope_right

    @property
    def needs_lift(self) -> bool:
        """Whether a unit at exactly 0 learns less than one just above: torch takes the left derivative there."""
        return self.slope_left < self.slope_right

    def infinitesimal(self, z: Tensor) -> Tensor:
        """``lim act(eps z) / eps`` for ``act(0) = 0``: the activation as seen by a very small neuron."""
        if self.smooth_at_zero:
            return self.slope_left * z
        return torch.where(z > 0, self.slope_right * z, self.slope_left * z)


_BUILT_IN = (
    Activation("identity", lambda z: z, nn.Identity, "nn.Identity()", homogeneous=True, call="{}", line="exact"),
    Activation(
        "relu",
        functional.relu,
        nn.ReLU,
        "nn.ReLU()",
        slope_left=0.0,
        homogeneous=True,
        call="torch.relu({})",
        line="pairs",
    ),
    Activation(
        "leaky_relu",
        functional.leaky_relu,
        nn.LeakyReLU,
        "nn.LeakyReLU()",
        slope_left=0.01,
        homogeneous=True,
        call="nn.functional.leaky_relu({})",
        line="pairs",
    ),
    Activation("elu", functional.elu, nn.ELU, "nn.ELU()", call="nn.functional.elu({})", line="shifted"),
    Activation(
        "selu",
        functional.selu,
        nn.SELU,
        "nn.SELU()",
        slope_left=_SELU_SCALE * _SELU_ALPHA,
        slope_right=_SELU_SCALE,
        call="torch.selu({})",
        line="shifted",
    ),
    Activation(
        "gelu",
        functional.gelu,
        nn.GELU,
        "nn.GELU()",
        slope_left=0.5,
        slope_right=0.5,
        call="nn.functional.gelu({})",
        line="pairs",
    ),
    Activation(
        "silu",
        functional.silu,
        nn.SiLU,
        "nn.SiLU()",
        slope_left=0.5,
        slope_right=0.5,
        call="nn.functional.silu({})",
        line="pairs",
    ),
    Activation("tanh", torch.tanh, nn.Tanh, "nn.Tanh()", call="torch.tanh({})"),
    Activation(
        "softplus",
        functional.softplus,
        nn.Softplus,
        "nn.Softplus()",
        slope_left=0.5,
        slope_right=0.5,
        at_zero=0.6931471805599453,
        call="nn.functional.softplus({})",
        line="pairs",
    ),
)

ACTIVATIONS: Registry[Activation] = Registry("activation", {entry.name: entry for entry in _BUILT_IN})
