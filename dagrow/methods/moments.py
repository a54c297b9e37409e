"""What a growth method is given, and what it gives back. Matrices only.

Symbols (thesis chapter 3, samples as rows): ``B`` features a new neuron can read, with a constant 1 last;
``v_goal`` desired update of the pre-activations it can write, all children side by side; ``v_proj`` what
the existing weights cannot do of it. ``E`` sums over positions and averages over samples.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from dagrow.methods.decision_plot_data import Scene
from dagrow.methods.metric import CONSTANT, Metric, unit_lengths
from dagrow.methods.modes import InsertionMode, SearchedAmplitude, mode_of_flags
from dagrow.methods.noise_level import MeanDeviation, NoiseLevel
from dagrow.methods.samples import SiteSamples

_MEAN_DEVIATION = MeanDeviation()

EFFORT = 4e9
"""Multiply-adds: some tenths of a second on one core."""


@dataclass(frozen=True)
class ExistingNeurons:
    """The neurons that the growing node has already; float64.

    Attributes:
        alpha: ``[F, K]`` their fan-ins, in the layout of the rows of S.
        omega: ``[K, M]`` their fan-outs, in the layout of the columns of N_proj, but with all kernel positions of a
            convolution, whatever new neurons may write: that of `SiteSamples.there`.
    """

    alpha: Tensor
    omega: Tensor

    @property
    def fan_out(self) -> Tensor:
        """``[K]``, norms of the fan-outs, over all children."""
        lengths: Tensor = self.omega.norm(dim=1)
        return lengths

    @property
    def count(self) -> int:
        """How many neurons."""
        return self.alpha.shape[1]


@dataclass(frozen=True)
class SiteMoments:
    """Moments at one place where neurons can be added; float64.

    Attributes:
        S: ``[F, F]`` metric of the features, ``E[B^T B]`` with each position weighted by how often it is read.
        N_proj: ``[F, M]``, ``E[B^T v_proj]``.
        N_noise: ``[draws, F, M]``, or of one draw ``[F, M]``: the statistic of N_proj when every sample's v_proj has a
            random sign, which is what N_proj would look like if nothing were there to find (tiny appendix D.3).
        N_goal: ``[F, M]``, ``E[B^T v_goal]``; None where the method did not ask for it.
        mean: ``[F]``, mean of the features over samples and positions, for signs.
        v_goal_squared: ``E||v_goal||^2`` over all children: what there is to be gained from.
        v_proj_squared: ``E||v_proj||^2`` likewise, the square of the expressivity bottleneck (thesis eq. 3.16): what is
            left of it when the existing weights have done their best.
        a_squared: ``E||a||^2`` of what all children merge.
        precision: dtype in which the products were made.
        samples: draws the samples that `nonlinear` needs; called by methods that need them, None where there
            are none.
        has_constant: whether the last feature is the constant.
        units: ``[F]`` integers, equal for features that share a unit, `CONSTANT` for the constant; left out, all but
            the constant share one.
        existing: the neurons that are there, for methods that declare that they need them (`EXISTING`).
        supplies: what needs of other packages give, by the need: functions that a method calls which declares it, and
            all processes of a run together before any method is asked.
    """

    S: Tensor
    N_proj: Tensor
    N_noise: Tensor
    N_goal: Tensor | None
    mean: Tensor
    v_goal_squared: float
    precision: torch.dtype
    samples: Callable[[], SiteSamples] | None = None
    has_constant: bool = True
    existing: ExistingNeurons | None = None
    supplies: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    v_proj_squared: float = math.nan
    units: Tensor | None = None
    a_squared: float = math.nan

    @property
    def feature_units(self) -> Tensor:
        """``[F]``, see `units`."""
        if self.units is not None:
            return self.units
        units = torch.zeros(len(self.S), dtype=torch.long, device=self.S.device)
        if self.has_constant:
            units[-1:] = CONSTANT
        return units

    @property
    def lengths(self) -> Tensor:
        """``[F]``, the root mean square of each feature's unit, 1 for the constant and where all features are 0.

        Fan-ins times this are pure numbers: their lengths say by how much pre-activations vary, whatever the units.
        """
        return unit_lengths(self.S.diagonal(), self.feature_units)

    @property
    def noise_draws(self) -> Tensor:
        """``[draws, F, M]``, see `N_noise`; a matrix is one draw."""
        return self.N_noise.view(-1, *self.N_proj.shape)

    def metric(self, shrinkage: float = 0.0) -> Metric:
        """S as a `Metric`, with a ridge."""
        return Metric(self.S, shrinkage, self.precision, self.feature_units)


@dataclass(frozen=True)
class EdgeMoments:
    """Moments at one place where an edge can be added; float64.

    Attributes:
        N: ``[F, M]``, ``E[B^T v_goal]`` of the features that the edge would read.
        squares: ``[F]``, mean squares of these features, summed over positions.
        v_goal_squared: ``E||v_goal||^2``.
        written: root of the sum of squares of the weights that write the node already, each times its feature's mean
            square.
        precision: dtype in which the products were made.
    """

    N: Tensor
    squares: Tensor
    v_goal_squared: float
    written: float
    precision: torch.dtype


@dataclass(frozen=True)
class NewWeights:
    """Weights of a new edge, as they are to enter.

    Attributes:
        weight: ``[M, F]``.
        score: what the method ranks it by.
    """

    weight: Tensor
    score: float


class Explanation(Protocol):
    """Why neurons are as they are: as text one line for people, and plain data for the journal."""

    @property
    def entry(self) -> dict[str, Any]:
        """What JSON can hold."""

    @property
    def scene(self) -> Scene | None:
        """What there is to be drawn, where the inputs are a plane."""


_SEARCHED = SearchedAmplitude()


@dataclass(frozen=True, init=False)
class Neurons:
    """New neurons in matrix form, best first.

    Attributes:
        alpha: ``[F, K]`` fan-in, the constant last.
        omega: ``[K, M]`` fan-out, in the layout of the columns of N_proj.
        scores: ``[K]`` what the method ranks them by; singular values for TINY.
        noise_level: what scores would be without signal, 0 where the method has no such level.
        mode: how they enter.
        why: what there is to tell about them, if anything.
        reason: why there are none.

    Older keyword arguments (``still=True`` and the like) are still understood, see `mode_of_flags`.
    """

    alpha: Tensor
    omega: Tensor
    scores: Tensor
    noise_level: float = 0.0
    mode: InsertionMode = _SEARCHED
    why: Explanation | None = None
    reason: str = "no singular value above the noise"

    def __init__(
        self,
        alpha: Tensor,
        omega: Tensor,
        scores: Tensor,
        noise_level: float = 0.0,
        mode: InsertionMode | None = None,
        why: Explanation | None = None,
        reason: str = reason,
        **flags: Any,
    ) -> None:
        own = _SEARCHED if mode is None else mode
        if flags:
            own = mode_of_flags(alpha, flags)
            warnings.warn("Neurons(still=..., bounded=...): renamed to mode=, see dagrow.methods.modes", stacklevel=2)
        values = (alpha, omega, scores, noise_level, own, why, reason)
        for each, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, each.name, value)

    @property
    def alternatives(self) -> tuple[Neurons, ...]:
        """The neurons, and where they may point either way those with the opposite fan-out."""
        either = isinstance(self.mode, SearchedAmplitude) and self.mode.allow_negative
        return (self, replace(self, omega=-self.omega)) if either else (self,)

    @property
    def count(self) -> int:
        """How many neurons."""
        return self.alpha.shape[1]

    @staticmethod
    def none(moments: SiteMoments, reason: str) -> Neurons:
        """No neurons, for a reason."""
        empty = moments.N_proj.double().new_empty
        F, M = moments.N_proj.shape
        return Neurons(empty(F, 0), empty(0, M), empty(0), reason=reason)


@dataclass(frozen=True)
class MethodRequest:
    """What is asked of a method.

    Attributes:
        neurons: at most so many.
        shrinkage: rho of the metric.
        significance: scores must exceed this multiple of the noise level; 0 keeps all that is not rounding.
        noise_level: what that is.
        keep_below_noise: where the best score does, all others are kept that are not rounding.
        seed: for methods that draw.
        effort: multiply-adds that a search on samples may take, about.
        fallback_method: what makes neurons where TINY finds none ("completed TINY", thesis 3.3), if anything.
        copy_noise: on the fan-in of copied neurons, relative to their own; 0 keeps the function exactly.
        pad: neurons that are missing from the number asked for come with random fan-ins and a fan-out of 0.
    """

    neurons: int
    shrinkage: float = 0.0
    significance: float = 1.0
    keep_below_noise: bool = False
    seed: int = 0
    effort: float = EFFORT
    fallback_method: Callable[[SiteMoments, MethodRequest], Neurons] | None = None
    copy_noise: float = 0.0
    pad: bool = False
    noise_level: NoiseLevel = _MEAN_DEVIATION
