"""When growth steps come: one file per schedule."""

from dagrow.training.schedules.decisions import (
    after_growth,
    after_training,
    gradient_steps,
    growth_is_over,
    next_unit,
    schedule_of,
    units_planned,
)
from dagrow.training.schedules.registry import SCHEDULES
from dagrow.training.schedules.schedule import Schedule, Unit
from dagrow.training.schedules.scopes import SCOPES
from dagrow.training.schedules.timetable import Timetable

__all__ = [
    "SCHEDULES",
    "SCOPES",
    "Schedule",
    "Timetable",
    "Unit",
    "after_growth",
    "after_training",
    "gradient_steps",
    "growth_is_over",
    "next_unit",
    "schedule_of",
    "units_planned",
]
