"""The channel spaces of any moment of a run of a module of one's own; what commands find of both kinds of runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagrow.errors import RunError
from dagrow.journal.reader import read_journal
from dagrow.report import SpaceSizes
from dagrow.runs.graph_lookup import read_step, run_directory
from dagrow.runs.module_directory import ModuleRunDirectory


def events_of_run(path: str | Path) -> list[dict[str, Any]]:
    """The journal of a run of either kind, which may be going on.

    Raises:
        RunError: if that is no run directory, or its journal is damaged.
    """
    if not ModuleRunDirectory.has_begun(path):
        return read_journal(run_directory(path).journal)
    directory = ModuleRunDirectory.begun(path)
    directory.check_sums(directory.journal)
    return read_journal(directory.journal)


def resolve_sizes(source: str | Path) -> SpaceSizes | None:
    """The sizes of the channel spaces at some moment of a run of a module.

    Args:
        source: its directory, as it is now, or ``DIR@STEP`` for it after that growth step.

    Returns:
        The sizes; None if that is no run of a module.

    Raises:
        RunError: if there is no such step, or the journal is damaged.
    """
    if ModuleRunDirectory.has_begun(source):
        return _sizes(_last(events_of_run(source), None), str(source))
    folder, at, text = str(source).rpartition("@")
    if not at or not ModuleRunDirectory.has_begun(folder):
        return None
    step = read_step(text)
    named = text if text in ("start", "end") else f"step {step}"
    return _sizes(_last(events_of_run(folder), step), f"{folder}, {named}")


def _last(events: list[dict[str, Any]], step: int | None) -> Mapping[str, Any]:
    told = [event for event in events if "spaces" in event]
    if step is not None:
        last = max((event.get("step", 0) for event in told), default=0)
        told = [event for event in told if event["event"] != "end" and event.get("step", 0) == step]
        if not told:
            raise RunError(f"there is no step {step}; the journal has steps 0 to {last}, 0 is the start")
    if not told:
        raise RunError("the journal tells of no module: the run ended before it began")
    return told[-1]


def _sizes(event: Mapping[str, Any], name: str) -> SpaceSizes:
    return SpaceSizes(dict(event["spaces"]), int(event["parameters"]), name)
