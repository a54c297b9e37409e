"""What became of a draft: the candidate that it is, with its gains or with the reason why it is rejected."""

from __future__ import annotations

from dagrow.graph import Cost
from dagrow.planner.candidate import Candidate, GainEstimate
from dagrow.planner.kinds import Proposal, Solution
from dagrow.planner.scaling import Gains
from dagrow.planner.simulated_change import Trial


def measured(
    draft: Proposal, variant: Solution, winner: tuple[Trial, float] | None, gains: Gains | None, slope: float | None
) -> Candidate:
    """The candidate of a draft.

    Args:
        draft: what was tried.
        variant: the way in which it was.
        winner: the change and its amplitude; None where no amplitude gains.
        gains: of it.
        slope: of the loss at amplitude 0, see `Candidate`.
    """
    rejected = "no amplitude lowers the loss"
    if gains is not None:
        rejected = variant.trial.scaling.objection(gains, variant.cost.parameters)
    made = winner is not None and not rejected
    return Candidate(
        kind=draft.kind,
        place=draft.place,
        neurons=variant.neurons,
        gain=gains.everywhere if gains is not None and made else 0.0,
        held_out_gain=gains.held_out if gains is not None and made else None,
        amplitude=winner[1] if winner is not None and made else 0.0,
        slope=slope,
        scores=variant.scores,
        still=variant.trial.scaling.function_preserving,
        noise_level=variant.noise_level,
        bottleneck=variant.bottleneck,
        shrinkage=variant.shrinkage,
        cost=variant.cost,
        rejected=rejected,
        trial=winner[0] if winner is not None and made else None,
        why=variant.why,
        estimate=None if gains is None else GainEstimate(gains.everywhere, gains.held_out, gains.error or None),
    )


def nothing(draft: Proposal, reason: str) -> Candidate:
    """The candidate of a draft that was not measured to the end.

    Args:
        draft: what was to be tried.
        reason: why it was not.
    """
    return Candidate(draft.kind, draft.place, 0, 0.0, None, 0.0, None, (), 0.0, 0.0, Cost(0, 0), reason)
