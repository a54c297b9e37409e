"""AdaRad: gradient steps that turn fan-ins and change their length apart (Philipp & Carbonell 2017, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

UNIT_AXIS = "unit_axis"
"""Entry of a parameter group: the axis of its weights that counts units. 0, unless the group says otherwise."""


class AdaRad(torch.optim.Optimizer):
    """Adaptive radial-angular gradient descent: lines 11 to 16 of Algorithm 1.

    A unit's fan-in in one weight is all that stands at one index of `UNIT_AXIS`: a row of a matrix, an output channel
    of a convolution. The part of its gradient along the fan-in changes its length by an ordinary gradient step. The
    part across it turns it, at a rate that is normalised per fan-in: all turn at the speed of the one with the
    largest root mean square gradient so far, new ones included.

    A fan-in of one number (an entry of a bias) has nothing to turn: it takes the radial step alone. So does a fan-in
    of 0, which has no direction.

    The paper's gradient is a sum over the batch divided by all samples, ours a mean over the batch: both rates are
    the paper's times the share of the samples that is in a batch.

    Args:
        params: tensors or groups of them, as of every optimizer.
        lr: angular step size, in radians per unit of gradient.
        radial_lr: radial step size, in length per unit of gradient.
        beta: mixing rate of the running average of squares.
        eps: keeps the root away from 0.

    Raises:
        ValueError: if a rate is negative, or ``beta`` is not in (0, 1].
    """

    def __init__(
        self, params: ParamsT, lr: float = 0.1, radial_lr: float = 0.1, beta: float = 0.005, eps: float = 1e-8
    ) -> None:
        _check_rates(lr=lr, radial_lr=radial_lr, eps=eps)
        _check_mixing(beta=beta)
        super().__init__(params, {"lr": lr, "radial_lr": radial_lr, "beta": beta, "eps": eps, UNIT_AXIS: 0})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of all parameters that have a gradient, the last layer first.

        Args:
            closure: evaluates the model again and returns the loss.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        peaks = self._peaks()
        for group in reversed(self.param_groups):
            for parameter in reversed(group["params"]):
                if parameter.grad is not None:
                    peaks = self._move(group, parameter, peaks)
        return loss

    def initial_state(self, group: dict[str, Any], parameter: Tensor) -> dict[str, Tensor]:
        """What is held for a parameter before its first step.

        Returns:
            ``square_avg`` and ``capacity``, one entry per unit, 1 along all other axes: running average of the
            squared gradient across the fan-in, and the share of it that is not its start at 0. ``square_peak`` and
            ``capacity_peak``: the largest of each so far.
        """
        shape = [1] * parameter.dim()
        if shape:
            shape[group[UNIT_AXIS] if parameter.dim() > 1 else 0] = -1
        units = parameter.new_zeros(parameter.shape[shape.index(-1)] if shape else 1).view(shape)
        return {
            "square_avg": units,
            "capacity": units.clone(),
            "square_peak": parameter.new_zeros(()),
            "capacity_peak": parameter.new_zeros(()),
        }

    def _peaks(self) -> tuple[Tensor | None, Tensor | None]:
        """The largest average of squares and the largest capacity of all units so far; None before the first step."""
        states = [state for state in self.state.values() if state]
        if not states:
            return None, None
        near = states[-1]["square_peak"]
        squares, capacities = (
            torch.stack([state[key].to(near) for state in states]).max() for key in ("square_peak", "capacity_peak")
        )
        return squares, capacities

    def _move(
        self, group: dict[str, Any], parameter: Tensor, peaks: tuple[Tensor | None, Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """Steps one parameter, and returns the peaks with its units among them."""
        gradient = parameter.grad
        assert gradient is not None
        if gradient.is_sparse or gradient.is_complex():
            raise RuntimeError(f"{type(self).__name__} takes dense real gradients only")
        state = self.state[parameter]
        if not state:
            state.update(self.initial_state(group, parameter))
        axis = group[UNIT_AXIS] if parameter.dim() > 1 else 0
        W, G = _rows(parameter, axis), _rows(gradient, axis)

        length = W.norm(dim=1, keepdim=True)
        heading = torch.where(length > 0, W / length, 0.0)
        along = (G * heading).sum(1, keepdim=True)
        phi = _across(G, heading) if W.shape[1] > 1 else torch.zeros_like(G)
        phi = torch.where(length > 0, phi, 0.0)

        square, capacity = state["square_avg"], state["capacity"]
        square.mul_(1 - group["beta"]).add_(phi.square().sum(1).view_as(square), alpha=group["beta"])
        capacity.mul_(1 - group["beta"]).add_(group["beta"])
        # The largest so far, the last unit first, as the paper goes through them.
        squares, capacities = (
            _running_maximum(values.flatten(), peak.to(values.device) if peak is not None else None)
            for values, peak in zip((square, capacity), peaks, strict=True)
        )
        state["square_peak"].copy_(squares[0])
        state["capacity_peak"].copy_(capacities[0])
        own = (square / capacity).flatten()
        rate = (squares / capacities).sqrt() / (own + group["eps"]).sqrt()

        turn = torch.where(length > 0, rate.unsqueeze(1) * self._across_now(state, group, phi, heading, axis), 0.0)
        amount = turn.norm(dim=1, keepdim=True)
        aside = torch.where(amount > 0, turn / amount, 0.0)
        angle = group["lr"] * amount
        # After the radial step the fan-in may point the other way.
        signed = length - group["radial_lr"] * along
        side = torch.where(signed < 0, -1.0, 1.0)
        turned = torch.cos(angle) * heading - side * torch.sin(angle) * aside
        # Rounding must not change the length.
        turned = turned / turned.norm(dim=1, keepdim=True).clamp(min=torch.finfo(W.dtype).tiny)
        W = torch.where(length > 0, signed * turned, -group["radial_lr"] * G)
        parameter.copy_(_as_weight(W, parameter, axis))
        self._turned(state, angle, side * heading, parameter, axis)
        return state["square_peak"], state["capacity_peak"]

    def _across_now(
        self, state: dict[str, Tensor], group: dict[str, Any], phi: Tensor, heading: Tensor, axis: int
    ) -> Tensor:
        """What turns the fan-ins ``[units, n]``, before it is normalised: here, the gradient across them."""
        return phi

    def _turned(self, state: dict[str, Tensor], angle: Tensor, heading: Tensor, parameter: Tensor, axis: int) -> None:
        """Called when fan-ins of these headings have been turned by these angles."""


def _across(x: Tensor, heading: Tensor) -> Tensor:
    """The part of each row that is orthogonal to a row of length 1 (or 0); twice, against rounding."""
    for _ in range(2):
        x = x - (x * heading).sum(1, keepdim=True) * heading
    return x


def _running_maximum(values: Tensor, before: Tensor | None) -> Tensor:
    """The maximum of each entry, all after it, and ``before``."""
    largest = values.flip(0).cummax(0).values.flip(0)
    return largest if before is None else torch.maximum(largest, before)


def _rows(weight: Tensor, axis: int) -> Tensor:
    """``[units, n]``."""
    return weight.reshape(1, 1) if weight.dim() == 0 else weight.movedim(axis, 0).reshape(weight.shape[axis], -1)


def _as_weight(rows: Tensor, like: Tensor, axis: int) -> Tensor:
    """The inverse of `_rows`."""
    return rows.view(()) if like.dim() == 0 else rows.view(like.movedim(axis, 0).shape).movedim(0, axis)


def _check_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not rate >= 0:
            raise ValueError(f"{name} must not be negative, it is {rate}")


def _check_mixing(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0 < rate <= 1:
            raise ValueError(f"{name} must be above 0 and at most 1, it is {rate}")
