"""A candidate: an insertion that was considered, with what it promises and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from dagrow.graph import Cost
from dagrow.methods import Explanation
from dagrow.planner.origin import Origin
from dagrow.planner.simulated_change import Trial


class GainEstimate(NamedTuple):
    """A gain as it was measured at the best amplitude, whether or not it counts.

    Attributes:
        gain: drop of the mean loss over all samples.
        held_out_gain: the same on held-out samples; None without such.
        standard_error: of the held-out gain; None where the samples are too few to know.
    """

    gain: float
    held_out_gain: float | None
    standard_error: float | None


@dataclass(frozen=True)
class Candidate:
    """One insertion that was considered.

    Attributes:
        kind: what it would do: ``widen``, ``edge``, ``node``, ``layer``, ``update``, ``remove``.
        place: the node or edge where, or the way of a new one.
        neurons: how many new features.
        gain: drop of the mean loss over all samples of the data, in the mode that the network was in;
            0 if rejected.
        held_out_gain: the same on the held-out samples; None without such samples.
        amplitude: the amplitude factor it enters with; 0 if rejected.
        slope: ``-dL/dg`` at amplitude 0, None where the loss has no derivative there.
        first_order_gain: slope times amplitude: what a linear loss would gain.
        scores: what the method ranks its neurons by; singular values for TINY.
        noise_level: what such scores are without signal.
        bottleneck: for new neurons, ``E||v_proj||^2`` of the nodes that read them: the square of the expressivity
            bottleneck (thesis eq. 3.16), of which TINY neurons take off the sum of their squared scores.
        shrinkage: of the metric, as chosen.
        cost: parameters and multiply-adds it adds.
        rejected: why it is not to be inserted; empty if it may be.
        trial: the change itself.
        measured_on: the network that it was measured on.
        still: whether it changes nothing when it enters, so that its gain says nothing about it.
        why: what its method has to tell about it, if anything.
        estimate: its gain as it was measured, also where it is rejected for it; None where nothing was measured.
    """

    kind: str
    place: str
    neurons: int
    gain: float
    held_out_gain: float | None
    amplitude: float
    slope: float | None
    scores: tuple[float, ...]
    noise_level: float
    shrinkage: float
    cost: Cost
    rejected: str = ""
    bottleneck: float | None = None
    trial: Trial | None = None
    measured_on: Origin | None = None
    still: bool = False
    why: Explanation | None = None
    estimate: GainEstimate | None = None

    def refused(self, reason: str) -> Candidate:
        """The same candidate, not to be inserted for a reason; what was measured stays in `estimate`."""
        return replace(self, gain=0.0, held_out_gain=None, amplitude=0.0, trial=None, rejected=reason)

    @property
    def first_order_gain(self) -> float | None:
        """``slope * amplitude``."""
        return None if self.slope is None else self.slope * self.amplitude

    @property
    def selection_score(self) -> float:
        """What candidates are compared by: the decisive gain, or the sum of squared scores of one that is still."""
        return sum(score**2 for score in self.scores) if self.still else self.validation_gain

    @property
    def validation_gain(self) -> float:
        """The gain on samples that did not make the candidate, where there are any."""
        return self.gain if self.held_out_gain is None else self.held_out_gain
