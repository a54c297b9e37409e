"""Entries of a run file by their full names, for those who give another one: ``learning_rate``, ``epochs``, ..."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel

from dagrow.errors import did_you_mean
from dagrow.spec.data import DataSpec
from dagrow.spec.document import Path
from dagrow.spec.graph import SpecFile
from dagrow.spec.run import RunSpec

FREE = ("graph",)
"""Sections whose entries have names that people choose."""

OTHER_NAMES: dict[str, Path] = {
    "learning_rate": ("training", "optimizer", "lr"),
    "lr": ("training", "optimizer", "lr"),
    "momentum": ("training", "optimizer", "momentum"),
    "betas": ("training", "optimizer", "betas"),
    "optim": ("training", "optimizer", "name"),
    "optimiser": ("training", "optimizer", "name"),
    "lr_scheduler": ("training", "scheduler", "name"),
    "epochs": ("training", "final_epochs"),
    "num_epochs": ("training", "final_epochs"),
    "max_epochs": ("training", "final_epochs"),
    "batch": ("training", "batch_size"),
    "bs": ("training", "batch_size"),
    "criterion": ("training", "loss"),
    "ema": ("training", "ema_decay"),
    "val_split": ("training", "validation_fraction"),
    "validation_split": ("training", "validation_fraction"),
    "test_split": ("data", "test_fraction"),
    "test_size": ("data", "test_fraction"),
    "normalize": ("data", "standardize"),
    "max_parameters": ("growth", "budget", "parameters"),
    "random_state": ("seed",),
    "random_seed": ("seed",),
    "manual_seed": ("seed",),
}
"""What other programs call an entry, and its place here."""


def right_names(path: Path) -> tuple[str, ...]:
    """What to write instead of an entry that a run file does not have; none if it has it, or nothing is near.

    Args:
        path: as it was given.
    """
    known = list(_entries(RunSpec))
    if not path or path[0] in (*FREE, "version") or path in known or _is_of_a_source(path):
        return ()
    # Inside an optimizer there are as many options as its class has: they are checked with its name.
    above = [entry for entry in known if path[: len(entry)] == entry]
    if any(entry[-1] in ("optimizer", "scheduler", "options") for entry in above) and path[-1] not in OTHER_NAMES:
        return ()
    if path[-1] in OTHER_NAMES and OTHER_NAMES[path[-1]] != path:
        return (".".join(OTHER_NAMES[path[-1]]),)
    wrong = next(depth for depth in range(len(path)) if path[: depth + 1] not in known)
    siblings = {entry[wrong] for entry in known if len(entry) == wrong + 1 and entry[:wrong] == path[:wrong]}
    if did_you_mean(path[wrong], siblings):
        # Misspelt where it stands: validation names the nearest entry there.
        return ()
    if same := [entry for entry in known if entry[-1] == path[-1]]:
        return tuple(".".join(entry) for entry in same)
    if len(path) > 1:
        return ()
    (nearest, *_) = [*difflib.get_close_matches(path[0], [entry[-1] for entry in known], n=1), ""]
    return tuple(".".join(entry) for entry in known if entry[-1] == nearest)


def _entries(model: type[BaseModel], above: Path = ()) -> Iterator[Path]:
    """The places of all entries that a file may have, sections included."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        yield path
        inner = _model_in(field.annotation)
        if inner is not None and name not in FREE and not issubclass(inner, SpecFile):
            yield from _entries(inner, path)


def _is_of_a_source(path: Path) -> bool:
    """Whether an entry of the data section belongs to a source, which checks its fields itself."""
    return len(path) > 1 and path[0] == "data" and path[1] in DataSpec.allowed_fields()


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
