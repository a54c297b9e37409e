"""Which side of a kinked activation each new neuron should be on, and the first-order gain that it has there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dagrow.distributed import Processes
from dagrow.planner.losses import Mean
from dagrow.planner.simulated_change import Trial
from dagrow.statistics import CachedBatch


@dataclass(frozen=True)
class SignChoice:
    """A trial with each neuron on its better side, at first order.

    Attributes:
        trial: to be searched.
        slope: ``-dL/dg`` at 0 over all samples of its features (of its updates where it has none); None
            where the loss has no derivative there.
        update_slope: that of its updates.
        loss: the loss at amplitude 0.
    """

    trial: Trial
    slope: float | None
    update_slope: float
    loss: float

    @property
    def scale(self) -> float:
        """The amplitude at which the first-order gain would be the whole loss; the method's own without a slope."""
        return self._whole_loss(self.slope)

    @property
    def update_scale(self) -> float:
        """The same for the updates."""
        return self._whole_loss(self.update_slope)

    @property
    def joint_scale(self) -> float:
        """The same for all at one amplitude."""
        return self._whole_loss(self.joint_slope)

    @property
    def has_companions(self) -> bool:
        """Whether updates go along with new features that `slope` is without."""
        change = self.trial.change
        return change.features is not None and bool(change.updates) and not self.trial.scaling.fan_in_fixed

    @property
    def joint_slope(self) -> float | None:
        """``-dL/dg`` at 0 of all at one amplitude (thesis eq. 3.23)."""
        if self.slope is None or not self.has_companions:
            return self.slope
        return self.slope + self.update_slope

    @cached_property
    def neurons_alone(self) -> Trial:
        """The trial with these updates left out."""
        return self.trial.with_fixed(updates=0.0)

    def _whole_loss(self, slope: float | None) -> float:
        scale = abs(self.loss) / slope if slope is not None and slope > 0 else 0.0
        return scale if 0.0 < scale < math.inf else self.trial.scaling.scale


class DirectionalDerivatives:
    """What each neuron of a trial, its mirror image, and the updates take off the loss per unit of amplitude.

    Args:
        trial: whose neurons to look at.
        mirror: the same with all of them mirrored; None where that makes no difference.
        room: bytes of pre-activations that may be kept for the search.
    """

    def __init__(self, trial: Trial, mirror: Trial | None, room: int) -> None:
        self.trial, self.mirror, self.update, self.room = trial, mirror, 0.0, room
        self.features = trial.change.features
        self.sums: list[Tensor] = []
        self.kept: dict[int, Tensor] = {}

    def add(self, snapshot: CachedBatch, updates: Mapping[str, Tensor]) -> None:
        """Adds one batch, given what the updates do on it."""
        self.update += _inner(updates, snapshot.goals)
        if self.features is None:
            return
        z = self.trial.fan_in_response(snapshot.values)
        if z.numel() * z.element_size() <= self.room:
            self.room -= z.numel() * z.element_size()
            self.kept[snapshot.number] = z
        shares = self.trial.shares(z, snapshot.goals, self.mirror)
        self.sums = [a + b for a, b in zip(self.sums, shares, strict=True)] if self.sums else shares

    def join(self, processes: Processes) -> None:
        """Adds what the other processes have found on their samples."""
        (self.update,) = processes.sums(self.update)
        processes.add_up(self.sums)

    def oriented(self, loss: Mean) -> SignChoice:
        """The trial with the better images, and what the loss does there."""
        trial, total = self.trial, self.update
        if self.features is not None:
            best, *mirrored = self.sums
            for mirror in mirrored:
                # By a clear margin, so that rounding cannot flip a neuron that has no better side.
                flip = mirror > best + 1e-6 * (best.abs() + mirror.abs())
                best = torch.where(flip, mirror, best)
                signs = torch.where(flip, -1.0, 1.0).to(next(iter(self.features.fan_out.values())))
                trial = self._with_sides(flip, signs)
                self.kept = {number: trial.flipped(z, signs) for number, z in self.kept.items()}
            # Updates that share the amplitude share the slope.
            total = float(best.sum()) + (self.update if trial.scaling.fan_in_fixed else 0.0)
        slope = total / loss.count if trial.has_slope else None
        return SignChoice(trial, slope, self.update / loss.count, loss.value)

    def _with_sides(self, flip: Tensor, signs: Tensor) -> Trial:
        """The trial with some neurons mirrored; each brings the norm statistics of its own side."""
        trial = self.trial.mirrored(signs)
        features = trial.change.features
        if self.mirror is None or features is None or self.mirror.change.features is None:
            return trial
        mirrored = self.mirror.change.features.statistics
        sides = {
            name: (_chosen(flip, mirrored[name][0], own[0]), _chosen(flip, mirrored[name][1], own[1]))
            for name, own in self.trial_statistics.items()
        }
        return trial.with_statistics(sides)

    @property
    def trial_statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and variance before each norm of the neurons as they came."""
        features = self.trial.change.features
        return {} if features is None else features.statistics


def _chosen(flip: Tensor, mirrored: Tensor, own: Tensor) -> Tensor:
    """Per feature, the number of its side; a flattened feature has one per position."""
    return torch.where(flip.repeat_interleave(own.numel() // flip.numel()), mirrored, own)


def _inner(deltas: Mapping[str, Tensor], goals: Mapping[str, Tensor]) -> float:
    # Only the sums of samples are added up in float64, which is slow.
    return sum(
        float((goals[name] * delta).flatten(1).sum(1).sum(dtype=torch.float64)) for name, delta in deltas.items()
    )
