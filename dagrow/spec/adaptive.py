"""The defaults of a run whose file sets no timetable: it grows by validation.

Chosen on moons, quantiles, clusters, rings, friedman1, friedman2, digits, wine and diabetes as drawn or shipped by
scikit-learn; docs/explanation/versus.md says which rules came later, and what other sets say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TIMETABLE: Mapping[str, frozenset[str]] = {
    "training": frozenset(
        {"epochs_between_growth", "steps_between_growth", "final_epochs", "closed_form_updates", "anneal", "penalty"}
    ),
    "growth": frozenset(
        {
            "continuous_growth",
            "insertions_per_step",
            "scope",
            "measure_later_gain",
            "trial_training",
            "prune_tolerance",
            "insert",
        }
    ),
}
"""Fields that only a timetable has: a file that sets one of them keeps to it, unless it asks for ``adaptive``."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "data": {"standardize": "auto"},
    "training": {"batch_size": "auto", "final_epochs": 30, "validation_fraction": 0.2, "standardize_targets": True},
    "growth": {
        "schedule": "adaptive",
        "neurons": 8,
        "share": 1.0,
        "patience": 2,
        "plateau": 0.02,
        "shrinkage": 1.0,
        "held_out": 0.0,
        "significance": 0.0,
        "fallback_method": "none",
        "samples": 2000,
        "insert": "zero_fan_out",
    },
}
OPTIMIZER: Mapping[str, Any] = {"name": "adamw", "lr": 0.005}


def with_adaptive_defaults(run: Any) -> Any:
    """The sections of a run file, completed where it grows by validation; anything else is left as it is."""
    if not isinstance(run, Mapping):
        return run
    sections = {name: run.get(name, {}) for name in DEFAULTS}
    if not all(isinstance(section, Mapping) for section in sections.values()):
        return run
    schedule = sections["growth"].get("schedule", "auto")
    timed = any(sections[name].keys() & fields for name, fields in TIMETABLE.items())
    if schedule != "adaptive" and (schedule != "auto" or timed):
        return run
    completed = {name: {**DEFAULTS[name], **sections[name]} for name in DEFAULTS}
    completed["growth"]["schedule"] = "adaptive"
    if "optimizer" not in completed["training"]:
        completed["training"] |= {"optimizer": dict(OPTIMIZER), "weight_decay": "auto"}
    return {**run, **completed}
