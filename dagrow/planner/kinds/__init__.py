"""The kinds of candidates: one file each, and a line in the table below."""

from dagrow.errors import DagrowError, GrowthError
from dagrow.planner.kinds.base import CandidateType, Location, Proposal, Solution, SolveOptions
from dagrow.planner.kinds.edge import NewEdge
from dagrow.planner.kinds.layer import NewLayer
from dagrow.planner.kinds.node import NewNode
from dagrow.planner.kinds.remove import Remove
from dagrow.planner.kinds.update import Update
from dagrow.planner.kinds.widen import Widen
from dagrow.registry import Registry

KINDS: Registry[CandidateType] = Registry(
    "kind of candidate",
    {kind.name: kind for kind in (Widen(), NewEdge(), NewNode(), NewLayer(), Update(), Remove())},
    error=GrowthError,
)
"""By name."""


def register_candidate_type(kind: CandidateType) -> CandidateType:
    """Makes a kind of candidate known by its ``name``: in run files, where it `grows`, and in `propose`.

    Args:
        kind: an instance of a complete subclass of `CandidateType`.

    Raises:
        DagrowError: if it is none, or the name is taken by another one.
    """
    if not isinstance(kind, CandidateType):
        raise DagrowError(
            "register_candidate_type takes an instance of a subclass of dagrow.planner.kinds.CandidateType"
        )
    return KINDS.add(getattr(kind, "name", ""), kind)


def find_kind(name: str) -> CandidateType:
    """The kind of that name.

    Raises:
        GrowthError: with the nearest name, if there is none.
    """
    return KINDS.find(name)


__all__ = [
    "KINDS",
    "CandidateType",
    "Location",
    "Proposal",
    "Solution",
    "SolveOptions",
    "find_kind",
    "register_candidate_type",
]
