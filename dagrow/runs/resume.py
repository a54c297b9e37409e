"""A run that was stopped goes on from its last good checkpoint, as if it had never stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import BaseModel

from dagrow.data import fingerprint
from dagrow.errors import RunError
from dagrow.journal.reader import last_event, read_journal
from dagrow.journal.writer import Journal, JournalPosition, content_up_to
from dagrow.report import Reporter
from dagrow.runs.checkpoint import Checkpoint, CheckpointError, CheckpointStore, changed_environment, restore
from dagrow.runs.directory import RunDirectory
from dagrow.runs.recorder import RunRecorder
from dagrow.runs.result import GrowthResult
from dagrow.spec import RunSpec
from dagrow.training.epochs import Score
from dagrow.training.state import RunContext, RunState
from dagrow.training.targets import begin_at_priors

_SHOWN = 5


def check_same_run(given: RunSpec, recorded: RunSpec, directory: RunDirectory) -> None:
    """Refuses to continue a run as another one.

    Raises:
        RunError: with the entries that differ.
    """
    found = _differences(given, recorded)
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        shown = "; ".join(found[:_SHOWN])
        raise RunError(f"{directory.path} holds another run, it cannot be continued as this one: {shown}{more}")


def finished(directory: RunDirectory, device: torch.device) -> GrowthResult | None:
    """What a run handed back at its end; None if it has not ended.

    Raises:
        RunError: if its files are damaged.
    """
    if not directory.ended and last_event(directory.journal).get("event") != "end":
        return None
    network = RunDirectory.existing(directory.path).load().to(device).eval()
    preprocessing = directory.load_preprocessing(network.dag)
    events = read_journal(directory.journal)
    if not events or events[-1]["event"] != "end":
        raise RunError(f"{directory.journal}: damaged: this run has ended, and its journal does not say so")
    if directory.checkpoints.is_dir():
        # It was stopped behind its last line.
        directory.write_sums()
        CheckpointStore(directory.checkpoints).remove_all()
    train, test = (_score(events[-1].get(name)) for name in ("train", "test"))
    measured = (event["values"] for event in reversed(events) if event["event"] == "metrics")
    return GrowthResult(network, train, test, tuple(events), directory.path, preprocessing, next(measured, {}))


def continued(
    task: RunContext, directory: RunDirectory, device: torch.device, reporter: Reporter
) -> tuple[RunState, RunRecorder]:
    """The state of a run that has not ended, and its record cut back to that.

    Nothing is changed where something is refused.

    Args:
        task: of the run.
        directory: of the run, locked.
        device: where it goes on.
        reporter: told from where it goes on, and which checkpoints are damaged.

    Raises:
        RunError: if there are checkpoints, but none is good; or it is of another run or other samples.
    """
    store = CheckpointStore(directory.checkpoints)
    found = _last_good(task, directory, store, device, reporter)
    if found is None:
        state, position = RunState.fresh(task.spec, device), JournalPosition()
        begin_at_priors(task.spec, state.network, task.split)
        reporter.say(f"{directory.path}: stopped before its first checkpoint, so it starts anew")
    else:
        state, position = found.state, found.checkpoint.journal
        store.trust(found.folder)
        reporter.say(f"{directory.path}: continued from {state.progress}")
        _warn_of_other_environment(found.checkpoint, device, reporter)
    directory.remove_leftovers()
    store.remove_leftovers()
    record = RunRecorder.continued(task, directory, Journal.continued(directory.journal, position), store)
    if found is not None:
        record.kept = state.progress
        # The last process may have stopped between graph and weights.
        directory.save(task.in_user_units(state.network))
        record.complete(state.progress, found.folder)
    return state, record


class _Found(NamedTuple):
    checkpoint: Checkpoint
    folder: Path
    state: RunState


def _last_good(
    task: RunContext, directory: RunDirectory, store: CheckpointStore, device: torch.device, reporter: Reporter
) -> _Found | None:
    samples, refused = fingerprint(task.split), []
    for folder in store.newest_first():
        try:
            checkpoint = Checkpoint.read(folder)
            _check_journal(directory, checkpoint)
            check_same_run(task.spec, checkpoint.run, directory)
            if checkpoint.samples != samples:
                raise RunError(f"{directory.path}: the samples are not those that the run began with")
            state = restore(checkpoint, folder, device)
        except CheckpointError as error:
            refused.append(str(error))
            continue
        for reason in refused:
            reporter.say(f"warning: {reason}; the checkpoint before it is used")
        return _Found(checkpoint, folder, state)
    if refused:
        raise RunError("; ".join([*refused, "no good checkpoint is left: start the run anew in another directory"]))
    last = last_event(directory.journal)
    begun = last and (last["event"] not in ("start", "checkpoint") or last.get("step", 0) != 0)
    # Graph and weights are written after the first checkpoint: with them and without it, something was lost.
    if begun or any(os.path.lexists(path) for path in (directory.graph, directory.weights, directory.exported)):
        raise RunError(f"{directory.checkpoints} is empty or not there, so the run cannot be continued")
    return None


def _check_journal(directory: RunDirectory, checkpoint: Checkpoint) -> None:
    try:
        content_up_to(directory.journal, checkpoint.journal)
    except RunError as error:
        raise CheckpointError(str(error)) from error


def _warn_of_other_environment(checkpoint: Checkpoint, device: torch.device, reporter: Reporter) -> None:
    if changed := changed_environment(checkpoint.environment, device):
        reporter.say(f"warning: the last bits may differ from those of a run in one piece ({'; '.join(changed)})")


def _differences(given: BaseModel, recorded: BaseModel) -> list[str]:
    """Entries of two runs that are not the same, by their paths."""
    here, there = (dict(_entries(run.model_dump(mode="json"))) for run in (given, recorded))
    return [
        f"{path} is {here.get(path, 'left out')!r:.60}, it began with {there.get(path, 'left out')!r:.60}"
        for path in [*here, *(path for path in there if path not in here)]
        if here.get(path) != there.get(path)
    ]


def _entries(tree: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        found += (
            _entries(value, f"{before}{key}.") if isinstance(value, dict) and value else [(f"{before}{key}", value)]
        )
    return found


def _score(entry: Any) -> Score:
    values = entry if isinstance(entry, dict) else {}
    loss = values.get("loss")
    return Score(
        float("nan") if loss is None else float(loss), values.get("accuracy"), values.get("r2"), values.get("mae")
    )
