"""What a candidate must gain to be worth its parameters."""

from __future__ import annotations

from dagrow.planner.candidate import Candidate


def priced(candidate: Candidate, price: float) -> Candidate:
    """The candidate, rejected where its gain is less than its new parameters cost.

    One that is not to be inserted anyhow, that adds no parameters, or that is `still`, whose gain says nothing
    about it, stays as it is.

    Args:
        candidate: with its gain, the held-out one where there is one.
        price: of a parameter, in units of the loss; 0 asks for nothing.
    """
    needed = price * candidate.cost.parameters
    gain = candidate.gain if candidate.held_out_gain is None else candidate.held_out_gain
    if candidate.rejected or candidate.still or needed <= 0 or gain >= needed:
        return candidate
    return candidate.refused(f"gains {gain:.3g}, less than the {needed:.3g} that its parameters cost")
