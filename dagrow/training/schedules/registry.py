"""Schedules by their names in run files. A new one is a file beside this and a line below."""

from __future__ import annotations

from dagrow.registry import Registry
from dagrow.training.schedules.adaptive import Adaptive
from dagrow.training.schedules.auto import auto
from dagrow.training.schedules.epochs import epochs
from dagrow.training.schedules.plateau import plateau, validation
from dagrow.training.schedules.schedule import Schedule
from dagrow.training.schedules.steps import steps

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
