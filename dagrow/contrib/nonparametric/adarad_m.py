"""AdaRad-M: AdaRad with momentum across the fan-ins (Philipp & Carbonell 2017, 7.3, Algorithm 2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from dagrow.contrib.nonparametric.adarad import AdaRad, _across, _as_weight, _check_mixing, _FanIns, _rows


class AdaRadM(AdaRad):
    """AdaRad that turns fan-ins by a running average of the gradients across them: lines 13 to 20 of Algorithm 2.

    The average turns along with the fan-in, and so stays across it. Where something else than a step has changed the
    weights (shrinkage by the 1-norm, inputs removed as in line 33, growth, weights loaded), what has come to point
    along the fan-in is taken off again by the next step.

    Args:
        params: tensors or groups of them.
        lr: angular step size.
        radial_lr: radial step size.
        beta: mixing rate of the running average of squares.
        momentum_beta: mixing rate of the running average of gradients.
        eps: keeps the root away from 0.

    Raises:
        ValueError: if a rate is negative, or a mixing rate is not in (0, 1].
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        radial_lr: float = 0.1,
        beta: float = 0.005,
        momentum_beta: float = 0.1,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, lr, radial_lr, beta, eps)
        _check_mixing(momentum_beta=momentum_beta)
        self.defaults["momentum_beta"] = momentum_beta
        for group in self.param_groups:
            group.setdefault("momentum_beta", momentum_beta)

    def initial_state(self, group: dict[str, Any], parameter: Tensor) -> dict[str, Tensor]:
        """As of `AdaRad`, with ``momentum`` in the shape of the parameter and its ``momentum_capacity`` per unit."""
        state = super().initial_state(group, parameter)
        zeros = torch.zeros_like(parameter, requires_grad=False)
        return {**state, "momentum": zeros, "momentum_capacity": state["capacity"].clone()}

    def _across_now(
        self, state: dict[str, Tensor], group: dict[str, Any], phi: Tensor, alive: Tensor, heading: Tensor, axis: int
    ) -> Tensor:
        beta, capacity = group["momentum_beta"], state["momentum_capacity"]
        capacity.mul_(1 - beta).add_(beta)
        momentum = (1 - beta) * _across(_rows(state["momentum"], axis), heading)
        momentum.add_(torch.where(alive.unsqueeze(1), phi, 0.0), alpha=beta)
        state["momentum"].copy_(_as_weight(momentum, state["momentum"], axis))
        return torch.where(alive.unsqueeze(1), momentum / capacity.view(-1, 1), phi)

    def _turned(self, job: _FanIns, angle: Tensor, side: Tensor) -> None:
        momentum = _rows(job.state["momentum"], job.axis)
        length = momentum.norm(dim=1)
        turned = torch.cos(angle).unsqueeze(1) * momentum
        turned.addcmul_(job.heading, (torch.sin(angle) * length * side).unsqueeze(1))
        job.state["momentum"].copy_(_as_weight(turned, job.parameter, job.axis))
