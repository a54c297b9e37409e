"""What became of a draft: the candidate that it is, with its gains or with the reason why it is rejected."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dagrow.graph import Cost
from dagrow.planner.candidate import Candidate, GainEstimate
from dagrow.planner.kinds import Proposal, Solution
from dagrow.planner.simulated_change import Trial


@dataclass(frozen=True)
class Result:
    """How a draft came out.

    Attributes:
        winner: the change and its amplitude; None where no amplitude gains.
        gains: over all samples and over the held-out ones, what the latter must exceed, and its standard error; None
            where not measured.
        held: whether there are held-out samples.
    """

    winner: tuple[Trial, float] | None
    gains: tuple[float, float, float, float] | None
    held: bool

    def candidate(self, draft: Proposal, variant: Solution, slope: float | None) -> Candidate:
        """The candidate of the draft: with its gains, or with the reason why it is rejected."""
        (gain, held_gain, needed, error), rejected = self.gains or (0.0, 0.0, 0.0, 0.0), ""
        if self.winner is None:
            rejected = "no amplitude lowers the loss"
        elif variant.trial.fixed:
            worst = min(gain, held_gain) if self.held else gain
            kept = math.isfinite(gain + worst) and worst >= -draft.limit
            rejected = "" if kept else f"the loss would rise by {-worst:.3g}"
        elif self.held and not math.isfinite(held_gain):
            rejected = "the loss of held-out samples would be no number"
        elif variant.trial.bounded and not gain > 0:
            rejected = f"the loss would rise by {-gain:.3g}"
        elif not gain > 0:
            rejected = "gains only on held-out samples" if self.held else "gains only on a part of the samples"
        elif self.held and variant.cost.parameters > 0 and not held_gain > needed:
            rejected = "its held-out gain may be chance"
        trial, amplitude = (None, 0.0) if rejected or self.winner is None else self.winner
        return Candidate(
            kind=draft.kind,
            place=draft.place,
            neurons=variant.neurons,
            gain=0.0 if rejected else gain,
            held_out_gain=held_gain if self.held and not rejected else None,
            amplitude=amplitude,
            slope=slope,
            scores=variant.scores,
            still=variant.trial.still,
            noise_level=variant.noise_level,
            bottleneck=variant.bottleneck,
            shrinkage=variant.shrinkage,
            cost=variant.cost,
            rejected=rejected,
            trial=trial,
            why=variant.why,
            estimate=self.gains and GainEstimate(gain, held_gain if self.held else None, error or None),
        )


def nothing(draft: Proposal, reason: str) -> Candidate:
    """The candidate of a draft that was not measured to the end.

    Args:
        draft: what was to be tried.
        reason: why it was not.
    """
    return Candidate(draft.kind, draft.place, 0, 0.0, None, 0.0, None, (), 0.0, 0.0, Cost(0, 0), reason)
