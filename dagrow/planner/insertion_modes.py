"""How the candidate that was chosen is inserted. A new way is a function and a line in `INSERT`."""

from __future__ import annotations

from collections.abc import Callable

from dagrow.errors import GrowthError
from dagrow.mutation import Change
from dagrow.planner.simulated_change import Trial
from dagrow.registry import Registry

Insertion = Callable[[Trial, float], Change]
"""``(what was measured, its best amplitude) -> what is made``."""

INSERT: Registry[Insertion] = Registry(
    "insert",
    {
        "amplitude": lambda trial, amplitude: trial.scaled(amplitude),
        "zero_fan_out_unscaled": lambda trial, amplitude: trial.scaled(amplitude, silent=True),
        "zero_fan_out": lambda trial, amplitude: trial.scaled(amplitude, silent=True, trusted=True),
    },
    error=GrowthError,
)
INSERT.rename(silent="zero_fan_out_unscaled")


def find_insert(name: str) -> Insertion:
    """The way of that name.

    Raises:
        GrowthError: with the nearest name, if there is none.
    """
    return INSERT.find(name)
