"""Nonparametric networks (Philipp & Carbonell 2017): AdaRad, CapNorm, and units that come and go while training."""

from dagrow.contrib.nonparametric.adarad import AdaRad
from dagrow.contrib.nonparametric.adarad_m import AdaRadM
from dagrow.contrib.nonparametric.add_units import add_units
from dagrow.contrib.nonparametric.cap_norm import CapNorm
from dagrow.contrib.nonparametric.graph_checks import nonparametric_problems
from dagrow.contrib.nonparametric.random_fan_ins import unit_fan_ins
from dagrow.contrib.nonparametric.remove_units import remove_units
from dagrow.contrib.nonparametric.unit_turnover import UnitTurnover
from dagrow.graph import RUN_CHECKS
from dagrow.objectives import OPTIMIZERS
from dagrow.ops import NORMS
from dagrow.training.extensions import TRAINING_EXTENSIONS
from dagrow.training.initial_weights import INITIAL_WEIGHTS

__all__ = [
    "AdaRad",
    "AdaRadM",
    "CapNorm",
    "UnitTurnover",
    "add_units",
    "nonparametric_problems",
    "register",
    "remove_units",
    "unit_fan_ins",
]


_CAP_NORM = CapNorm()


def register() -> None:
    """Registers optimizers, norm, turnover of units and what they ask of a graph."""
    OPTIMIZERS.add("adarad", AdaRad)
    OPTIMIZERS.add("adarad_m", AdaRadM)
    NORMS.add(CapNorm.name, _CAP_NORM)
    NORMS.rename(cap="cap_batch")
    INITIAL_WEIGHTS.add("unit_fan_ins", unit_fan_ins)
    TRAINING_EXTENSIONS.add("unit turnover", UnitTurnover.of)
    RUN_CHECKS.add("nonparametric", nonparametric_problems)
