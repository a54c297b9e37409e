"""When growth steps come: one file per schedule. A new one is a file here and a line below."""

from __future__ import annotations

from typing import NamedTuple

from dagrow.training.schedules.auto import auto
from dagrow.training.schedules.epochs import epochs
from dagrow.training.schedules.plateau import plateau, validation
from dagrow.training.schedules.schedule import Schedule
from dagrow.training.schedules.steps import steps

SCHEDULES: dict[str, Schedule] = {
    "auto": auto,
    "epochs": epochs,
    "steps": steps,
    "plateau": plateau,
    "validation": validation,
}


class Scope(NamedTuple):
    """Which places a growth step is about.

    Attributes:
        in_turn: one of them, the next one each time, instead of the best of all.
        at_once: all that there are follow each other without training in between.
    """

    in_turn: bool = False
    at_once: bool = False


SCOPES: dict[str, Scope] = {"best": Scope(), "in_turn": Scope(in_turn=True), "all": Scope(in_turn=True, at_once=True)}

__all__ = ["SCHEDULES", "SCOPES", "Schedule", "Scope"]
