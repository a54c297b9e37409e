"""A selection criterion: the largest gain over the square root of the new parameters.

Between ``gain``, which does not ask what a candidate costs, and ``gain_per_parameter``, which prefers the smallest.
"""

from __future__ import annotations

import math

import dagrow
from dagrow.planner import Candidate, Selection, Turn


def root(parameters: int, multiply_adds: int) -> float:
    """What a gain is divided by."""
    return math.sqrt(max(1, parameters))


def score(candidate: Candidate, turn: Turn) -> float:
    """The higher, the better."""
    return candidate.selection_score / root(*candidate.cost)


dagrow.register_selection("gain_per_root", Selection(score, by_gain=True, cost=root))
