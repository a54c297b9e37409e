"""The record of a run: one JSON line per event, in the order in which things happened."""

from __future__ import annotations

import hashlib
import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagrow.errors import RunError
from dagrow.files import append_to, open_file, replace_file
from dagrow.files.disk import disk_errors
from dagrow.journal.reader import MAX_BYTES, events_of, with_checksum
from dagrow.planner import Candidate, Plan


@dataclass(frozen=True)
class JournalPosition:
    """A place between two events.

    Attributes:
        bytes: length of the file up to there.
        sha256: of these bytes.
    """

    bytes: int = 0
    sha256: str = hashlib.sha256().hexdigest()


@dataclass
class Journal:
    """Appends events to a file, or keeps them in memory only.

    Attributes:
        path: of the file; None for none.
        events: all events of the run.
    """

    path: Path | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._size, self._digest = 0, hashlib.sha256()

    @classmethod
    def continued(cls, path: Path, position: JournalPosition) -> Journal:
        """A journal cut back to an earlier place, to be written on from there.

        Raises:
            RunError: if the file does not hold what it held up to there, or cannot be written.
        """
        content = content_up_to(path, position)
        journal = cls(path, events_of(content, path))
        journal._count(content)
        with disk_errors(path.parent):
            if os.path.lexists(path):
                if os.lstat(path).st_nlink > 1:
                    # The file has another name elsewhere, and only this one is ours.
                    replace_file(path, content)
                else:
                    os.truncate(path, position.bytes)
        return journal

    @property
    def position(self) -> JournalPosition:
        """The place behind the last event."""
        return JournalPosition(self._size, self._digest.hexdigest())

    def write(self, event: str, **entries: Any) -> None:
        """Adds one event; what is no JSON number (inf, nan) is written as null.

        Raises:
            RunError: if it cannot be written; the file is as it was then.
        """
        line = {"event": event, **_plain(entries)}
        text = (json.dumps(line, allow_nan=False) + "\n").encode("utf-8")
        content = with_checksum(text, self._digest.copy())
        if self.path is not None:
            with disk_errors(self.path.parent):
                self._append(self.path, content)
        self._count(content)
        self.events.append(line)

    def _append(self, path: Path, content: bytes) -> None:
        # A file that someone took away is not made anew: it would lack its beginning.
        with append_to(path, self._size) as file:
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    os.truncate(path, self._size)
                raise

    def _count(self, content: bytes) -> None:
        self._size += len(content)
        self._digest.update(content)


def content_up_to(path: Path, position: JournalPosition) -> bytes:
    """The bytes of a journal up to a place.

    Raises:
        RunError: if they are not what they were.
    """
    try:
        content = b""
        if position.bytes:
            with open_file(path, follow=False) as file:
                content = file.read(min(position.bytes, MAX_BYTES))
    except OSError as error:
        raise RunError(f"{path}: cannot be read as a journal ({error.strerror or error})") from error
    if hashlib.sha256(content).hexdigest() != position.sha256:
        raise RunError(f"{path}: was changed or cut off since it was written")
    return content


def plan_entry(plan: Plan) -> dict[str, Any]:
    """A plan as it is kept in the journal."""
    return {
        "loss": plan.loss,
        "held_out_loss": plan.held_out_loss,
        "samples": plan.samples,
        "where": plan.where,
        "stages": plan.stages._asdict(),
        "candidates": [candidate_entry(candidate) for candidate in plan.candidates],
        "fixed": [{"node": place.node, "reason": place.reason} for place in plan.not_growable],
    }


def candidate_entry(candidate: Candidate) -> dict[str, Any]:
    """A candidate as it is kept in the journal: all but its tensors."""
    return {
        "kind": candidate.kind,
        "place": candidate.place,
        "neurons": candidate.neurons,
        "gain": candidate.gain,
        "held_out_gain": candidate.held_out_gain,
        "first_order_gain": candidate.first_order_gain,
        "slope": candidate.slope,
        "amplitude": candidate.amplitude,
        "scores": list(candidate.scores),
        "noise_level": candidate.noise_level,
        "bottleneck": candidate.bottleneck,
        "shrinkage": candidate.shrinkage,
        "parameters": candidate.cost.parameters,
        "multiply_adds": candidate.cost.multiply_adds,
        "rejected": candidate.rejected,
        **({} if candidate.why is None else {"why": candidate.why.entry}),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
