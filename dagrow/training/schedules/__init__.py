"""When growth steps come: one file per schedule. A new one is a file here and a line below."""

from __future__ import annotations

from dagrow.registry import Registry
from dagrow.training.schedules.adaptive import Adaptive
from dagrow.training.schedules.auto import auto
from dagrow.training.schedules.epochs import epochs
from dagrow.training.schedules.plateau import plateau, validation
from dagrow.training.schedules.schedule import Schedule, Unit
from dagrow.training.schedules.scopes import SCOPES
from dagrow.training.schedules.steps import steps
from dagrow.training.schedules.timetable import Timetable

SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    {
        "auto": auto,
        "adaptive": Adaptive(),
        "epochs": epochs,
        "steps": steps,
        "plateau": plateau,
        "validation": validation,
    },
)

__all__ = ["SCHEDULES", "SCOPES", "Schedule", "Timetable", "Unit"]
