"""AdaRad: gradient steps that turn fan-ins and change their length apart (Philipp & Carbonell 2017, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from dagrow.build.units import UNIT_AXIS


class AdaRad(torch.optim.Optimizer):
    """Adaptive radial-angular gradient descent: lines 11 to 16 of Algorithm 1.

    A unit's fan-in in one weight is all that stands at one index of `UNIT_AXIS` (0, unless its group says otherwise): a
    row of a matrix, an output channel of a convolution. The part of its gradient along the fan-in changes its length by
    an ordinary gradient step. The part across it turns it, at a rate that is normalised per fan-in: all turn at the
    speed of the one with the largest root mean square gradient so far, new ones included.

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
        if jobs := [job for group in self.param_groups for job in self._jobs(group)]:
            self._turn(jobs)
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

    def _jobs(self, group: dict[str, Any]) -> Iterator[_FanIns]:
        """The fan-ins of a group that have a gradient, their averages of squares brought up to date."""
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is None:
                continue
            if gradient.is_sparse or gradient.is_complex():
                raise RuntimeError(f"{type(self).__name__} takes dense real gradients only")
            state = self.state[parameter]
            if not state:
                state.update(self.initial_state(group, parameter))
            axis = group[UNIT_AXIS] if parameter.dim() > 1 else 0
            W, G = _rows(parameter, axis), _rows(gradient, axis)
            length = W.norm(dim=1)
            heading = W / length.clamp(min=torch.finfo(W.dtype).tiny).unsqueeze(1)
            along = (G * heading).sum(1)
            # Of a fan-in of 0, which has no heading, all of the gradient.
            phi = _across(G, heading) if W.shape[1] > 1 else torch.zeros_like(G)
            squares = torch.where(length > 0, phi.norm(dim=1).square(), 0.0)
            state["square_avg"].mul_(1 - group["beta"]).add_(squares.view_as(state["square_avg"]), alpha=group["beta"])
            state["capacity"].mul_(1 - group["beta"]).add_(group["beta"])
            turn = self._across_now(state, group, phi, length > 0, heading, axis)
            yield _FanIns(group, parameter, state, axis, G, heading, length, along, turn)

    def _turn(self, jobs: list[_FanIns]) -> None:
        """Lines 13 to 16. What is one number per unit is computed for all units of the network at once."""
        rate = self._rates(jobs)
        device, units = rate.device, [len(job.length) for job in jobs]
        length, along, amount = (
            torch.cat([values.to(device) for values in column])
            for column in zip(*((job.length, job.along, job.turn.norm(dim=1)) for job in jobs), strict=True)
        )
        lr, radial_lr = (_per_unit([job.group[key] for job in jobs], units, length) for key in ("lr", "radial_lr"))
        angle = torch.where(length > 0, lr * rate * amount, 0.0)
        # After the radial step the fan-in may point the other way; it turns downhill all the same.
        signed = length - radial_lr * along
        left = signed.abs()
        forth = signed * torch.cos(angle)
        tiny = torch.finfo(length.dtype).tiny
        aside = torch.where(length > 0, left * torch.sin(angle) / amount.clamp(min=tiny), radial_lr)
        parts = (values.split_with_sizes(units) for values in (forth, aside, left, angle, signed))
        for job, a, b, kept, by, side in zip(jobs, *parts, strict=True):
            self._move(job, *(values.to(job.length) for values in (a, b, kept, by, side)))

    def _move(self, job: _FanIns, forth: Tensor, aside: Tensor, kept: Tensor, angle: Tensor, signed: Tensor) -> None:
        """Sets fan-ins to so much of their heading, less so much of what turns them; then their length."""
        if job.turn.shape[1] == 1:
            job.parameter.sub_(job.gradient.view_as(job.parameter), alpha=job.group["radial_lr"])
            return
        W = torch.addcmul(job.heading * forth.unsqueeze(1), job.turn, aside.unsqueeze(1), value=-1)
        # Rounding must not change the length.
        scale = torch.where(job.length > 0, kept / W.norm(dim=1).clamp(min=torch.finfo(W.dtype).tiny), 1.0)
        job.parameter.copy_(_as_weight(W.mul_(scale.unsqueeze(1)), job.parameter, job.axis))
        self._turned(job, angle, torch.where(signed < 0, -1.0, 1.0))

    def _rates(self, jobs: list[_FanIns]) -> Tensor:
        """What normalises the turns, by unit: the largest root mean square so far over its own."""
        device = jobs[-1].length.device
        squares, capacities = (
            torch.cat([job.state[key].flatten().to(device) for job in jobs]) for key in ("square_avg", "capacity")
        )
        states = [state for state in self.state.values() if state]
        eps = _per_unit([job.group["eps"] for job in jobs], [len(job.length) for job in jobs], squares)
        # The largest so far, the last unit of the last layer first, as the paper goes through them.
        highest = []
        for key, values in (("square_peak", squares), ("capacity_peak", capacities)):
            before = torch.stack([state[key].to(squares) for state in states]).max()
            running = torch.maximum(values.flip(0).cummax(0).values, before).flip(0)
            first = 0
            for job in jobs:
                job.state[key].copy_(running[first])
                first += len(job.length)
            highest.append(running)
        return (highest[0] / highest[1]).sqrt_().div_((squares / capacities).add_(eps).sqrt_())

    def _across_now(
        self, state: dict[str, Tensor], group: dict[str, Any], phi: Tensor, alive: Tensor, heading: Tensor, axis: int
    ) -> Tensor:
        """What turns the fan-ins ``[units, n]``, before it is normalised: here, the gradient across them.

        Where a fan-in is 0 (not ``alive``) it is ``phi``, all of the gradient.
        """
        return phi

    def _turned(self, job: _FanIns, angle: Tensor, side: Tensor) -> None:
        """Called when fan-ins have been turned by these angles; ``side`` is -1 where one points the other way now."""


@dataclass(frozen=True)
class _FanIns:
    """A weight in the middle of a step, as rows ``[units, n]``: one per fan-in.

    Attributes:
        group: of the parameter.
        parameter: to change.
        state: of the parameter.
        axis: of the parameter, that counts units.
        gradient: ``[units, n]``.
        heading: ``[units, n]``, of length 1, or 0.
        length: ``[units]``.
        along: ``[units]``, the gradient along the heading.
        turn: ``[units, n]``, across the heading: turns it, once normalised.
    """

    group: dict[str, Any]
    parameter: Tensor
    state: dict[str, Tensor]
    axis: int
    gradient: Tensor
    heading: Tensor
    length: Tensor
    along: Tensor
    turn: Tensor


def _across(x: Tensor, heading: Tensor) -> Tensor:
    """The part of each row that is orthogonal to a row of length 1 (or 0); twice, against rounding."""
    for _ in range(2):
        x = torch.addcmul(x, (x * heading).sum(1, keepdim=True), heading, value=-1)
    return x


def _per_unit(options: list[float], units: list[int], like: Tensor) -> Tensor:
    """``[all units]``, or a number's tensor where all weights have the same option."""
    if len(set(options)) == 1:
        return like.new_tensor(options[0])
    return torch.cat([like.new_full((count,), option) for option, count in zip(options, units, strict=True)])


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
