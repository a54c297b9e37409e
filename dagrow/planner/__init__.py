"""From statistics to a plan: drafts, line search, gain, and which is the best."""

from dagrow.planner.candidate import Candidate
from dagrow.planner.insertion_modes import INSERT
from dagrow.planner.kinds import KINDS
from dagrow.planner.locations import find_locations
from dagrow.planner.method_requirements import check_growth, check_needs
from dagrow.planner.plan import Plan, Stages
from dagrow.planner.propose import apply, propose
from dagrow.planner.selection import WHERE, promise, rounding
from dagrow.planner.size_warning import size_warning, warning_of_width

__all__ = [
    "INSERT",
    "KINDS",
    "WHERE",
    "Candidate",
    "Plan",
    "Stages",
    "apply",
    "check_growth",
    "check_needs",
    "find_locations",
    "promise",
    "propose",
    "rounding",
    "size_warning",
    "warning_of_width",
]
