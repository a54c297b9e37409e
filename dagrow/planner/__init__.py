"""From statistics to a plan: drafts, line search, gain, and which is the best."""

from dagrow.planner.candidate import Candidate, GainEstimate
from dagrow.planner.evaluate import untouched
from dagrow.planner.insertion_modes import INSERT
from dagrow.planner.kinds import KINDS, CandidateType, register_candidate_type
from dagrow.planner.locations import find_locations
from dagrow.planner.method_requirements import check_growth, check_needs
from dagrow.planner.plan import Plan, Stages
from dagrow.planner.possibilities import Possibilities, possibilities, possibilities_text
from dagrow.planner.propose import SHRINKAGES, apply, ordinary_mode, propose
from dagrow.planner.selection import WHERE, Selection, Turn, promise, register_selection, rounding
from dagrow.planner.size_warning import size_warning, warning_of_width

__all__ = [
    "INSERT",
    "KINDS",
    "SHRINKAGES",
    "WHERE",
    "Candidate",
    "CandidateType",
    "GainEstimate",
    "Plan",
    "Possibilities",
    "Selection",
    "Stages",
    "Turn",
    "apply",
    "check_growth",
    "check_needs",
    "find_locations",
    "ordinary_mode",
    "possibilities",
    "possibilities_text",
    "promise",
    "propose",
    "register_candidate_type",
    "register_selection",
    "rounding",
    "size_warning",
    "untouched",
    "warning_of_width",
]
