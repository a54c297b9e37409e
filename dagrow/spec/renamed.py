"""Names of fields in earlier versions, and what they are called now: read in 0.1 with a warning, gone in 0.2.

Names of entries that were renamed, such as ``where: naive``, are in the registries themselves (`Registry.rename`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dagrow.errors import Problem
from dagrow.renaming import warn_renamed
from dagrow.spec.document import Document, Path

PROPOSAL: Mapping[str, str] = {
    "completion": "fallback_method",
    "fill": "keep_below_noise",
    "noise": "copy_noise",
    "price": "min_gain_per_parameter",
    "removal": "prune_tolerance",
    "max_multiply_adds": "max_macs",
}
"""Of proposals, in run files and in Python; ``keep`` became two fields, see `KEEP`."""
KEEP = ("max_solved", "max_searched")

FIELDS: Mapping[Path, Mapping[str, str]] = {
    ("data",): {"test_share": "test_fraction"},
    ("training",): {
        "average": "ema_decay",
        "batch_size_grows": "scale_batch_size",
        "best_updates": "closed_form_updates",
        "rewind": "anneal",
        "validation": "validation_fraction",
    },
    ("growth",): {
        **{old: new for old, new in PROPOSAL.items() if old != "max_multiply_adds"},
        "calibrate": "measure_later_gain",
        "in_a_row": "insertions_per_step",
        "tryout": "trial_training",
        "units": "continuous_growth",
    },
    ("growth", "budget"): {"multiply_adds": "macs"},
}
"""Of run files, by section."""


def renamed_document(document: Document) -> Document:
    """The document of a run file with the names of today, its lines too; a field that stands there twice is told."""
    run, problems = _renamed_run(document.data)
    lines = {renamed_path(path, warn=False): line for path, line in document.lines.items()}
    # Both halves of what was one field stand in its line.
    for path, line in document.lines.items():
        if path[:2] == ("growth", "keep") and len(path) == 3 and path[2] in "01":
            lines["growth", KEEP[int(path[2])]] = line
    found = [replace(problem, line=document.lines.get(problem.path)) for problem in problems]
    return replace(document, data=run, lines=lines, problems=(*document.problems, *found))


def renamed_run(run: Any) -> Any:
    """A run as plain data with the names of today; what is none is handed back."""
    return _renamed_run(run)[0] if isinstance(run, Mapping) else run


def renamed_path(path: Path, *, warn: bool = True) -> Path:
    """The place of an entry with the names of today."""
    for section, names in FIELDS.items():
        depth = len(section)
        if path[:depth] == section and len(path) > depth and path[depth] in names:
            old, new = path[depth], names[path[depth]]
            if warn:
                _warn(section, old, new)
            return (*section, new, *path[depth + 1 :])
    return path


def renamed_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a proposal with the names of today; of two names for one, that of today holds."""
    return _renamed((), dict(given), PROPOSAL)[0]


def _renamed_run(run: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    found, problems = dict(run), []
    for section, names in FIELDS.items():
        *above, last = section
        owner: Any = found
        for name in above:
            owner = owner.get(name) if isinstance(owner, dict) else None
        if isinstance(owner, dict) and isinstance(owner.get(last), Mapping):
            owner[last], twice = _renamed(section, dict(owner[last]), names)
            problems += twice
    return found, problems


def _renamed(section: Path, entry: dict[str, Any], names: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    problems: list[Problem] = []
    kept: dict[str, Any] = {}
    for name, value in entry.items():
        both = KEEP if name == "keep" and names.items() >= {("fill", "keep_below_noise")} else ()
        if both and isinstance(value, (list, tuple)) and len(value) == len(both):
            _warn(section, name, *both)
            kept.update({new: part for new, part in zip(both, value, strict=True) if new not in entry})
            continue
        new = names.get(name, name)
        if new != name:
            _warn(section, name, new)
            if new in entry:
                problems.append(Problem((*section, name), f"'{name}' was renamed to '{new}', which is given too"))
                continue
        kept[new] = value
    return kept, problems


def _warn(section: Path, old: str, *new: str) -> None:
    before, *now = (".".join((*section, name)) for name in (old, *new))
    warn_renamed(before, " and ".join(now))
