"""The kinds of candidates: one file each, and a line in the table below."""

from dagrow.errors import GrowthError, lookup
from dagrow.planner.kinds.base import CandidateType, Location, Proposal, Solution, SolveOptions
from dagrow.planner.kinds.edge import NewEdge
from dagrow.planner.kinds.layer import NewLayer
from dagrow.planner.kinds.node import NewNode
from dagrow.planner.kinds.remove import Remove
from dagrow.planner.kinds.update import Update
from dagrow.planner.kinds.widen import Widen

KINDS: dict[str, CandidateType] = {
    kind.name: kind for kind in (Widen(), NewEdge(), NewNode(), NewLayer(), Update(), Remove())
}
"""By name."""


def find_kind(name: str) -> CandidateType:
    """The kind of that name.

    Raises:
        GrowthError: with the nearest name, if there is none.
    """
    return lookup(KINDS, name, "kind of candidate", GrowthError)


__all__ = ["KINDS", "CandidateType", "Location", "Proposal", "Solution", "SolveOptions", "find_kind"]
