"""What a checkpoint holds: everything from which a run goes on as if it had never stopped."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from dagrow.build import Network
from dagrow.errors import DagrowError
from dagrow.journal.writer import JournalPosition
from dagrow.runs.checkpoint.files import CheckpointError, decode, encode
from dagrow.runs.checkpoint.random_numbers import random_state, set_random_state
from dagrow.serialization import pack, unpack
from dagrow.spec import RunSpec
from dagrow.training.annealing_phases import AnnealState, Phase
from dagrow.training.epochs import make_optimizer
from dagrow.training.inputs import InputUnits
from dagrow.training.optimizer_snapshot import check_step, set_optimizer_state
from dagrow.training.progress import Progress
from dagrow.training.snapshot import network_of, network_parts
from dagrow.training.state import RunState
from dagrow.training.targets import TargetUnits
from dagrow.training.validation import Best

_NO_CHECKPOINT = (
    DagrowError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What comes of data that pretend to be a checkpoint."""

_RENAMED = {
    "dry": "steps_without_gain",
    "flat": "epochs_without_improvement",
    "grown": "growth_finished",
    "left": "queued_steps",
    "over": "training_finished",
    "quiet": "epochs_since_best",
}
"""Names of entries in checkpoints of earlier versions, which are read until 0.2."""

UNITS: Mapping[str, type[InputUnits] | type[TargetUnits]] = {"targets": TargetUnits, "inputs": InputUnits}


@dataclass(frozen=True)
class Checkpoint:
    """A state between two units of a run.

    Attributes:
        run: the run file, every default written out.
        samples: fingerprint of the samples.
        journal: the place in the journal that belongs to the state.
        progress: what was done.
        environment: versions and the device, on which the last bits depend.
        parts: network, optimizer and random numbers, as plain data and tensors.
    """

    run: RunSpec
    samples: str
    journal: JournalPosition
    progress: Progress
    environment: Mapping[str, Any]
    parts: Mapping[str, Any]

    def files(self) -> dict[str, bytes]:
        """The files of this checkpoint by their names."""
        tensors: dict[str, Tensor] = {}
        content = {
            "run": self.run.model_dump(mode="json"),
            "samples": self.samples,
            "journal": asdict(self.journal),
            "progress": asdict(self.progress),
            "environment": dict(self.environment),
            "parts": {name: pack(part, name, tensors) for name, part in self.parts.items()},
        }
        return encode(content, tensors)

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """The checkpoint in a folder.

        Raises:
            CheckpointError: if it is damaged, cut off or none at all.
            NewerCheckpointError: if it was written by a newer version.
        """
        content, tensors = decode(folder)
        try:
            return cls(
                RunSpec.model_validate(content["run"]),
                str(content["samples"]),
                TypeAdapter(JournalPosition).validate_python(content["journal"]),
                TypeAdapter(Progress).validate_python(_with_new_names(content["progress"])),
                dict(content["environment"]),
                {name: unpack(part, tensors) for name, part in content["parts"].items()},
            )
        except _NO_CHECKPOINT as error:
            raise _foreign(folder, error) from error


def environment(device: torch.device) -> dict[str, Any]:
    """What the last bits of a run depend on, beside its file and samples."""
    return {
        "torch": str(torch.__version__),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def changed_environment(before: Mapping[str, Any], device: torch.device) -> list[str]:
    """What is another than it was, of that on which the last bits depend."""
    now = environment(device)
    return [f"{key} {before.get(key)}, now {value}" for key, value in now.items() if before.get(key, value) != value]


def capture(
    run: RunSpec,
    samples: str,
    journal: JournalPosition,
    state: RunState,
    units: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """The state of a run as it is now; copies are made when it is written."""
    device = state.device
    parts = {
        **network_parts(state.network, state.optimizer),
        "learning_rate": state.learning_rate.state_dict(),
        "average": state.average.state_dict(),
        "rewind": None if state.rewind is None else {**vars(state.rewind), "phase": state.rewind.phase.value},
        "best": None if state.best is None else vars(state.best),
        "ungrown": None if state.ungrown is None else vars(state.ungrown),
        "kept": state.kept,
        "units": units,
        "generators": {name: generator.get_state() for name, generator in state.generators.items()},
        "random": random_state(device),
    }
    return Checkpoint(run, samples, journal, state.progress, environment(device), parts)


def restore(checkpoint: Checkpoint, folder: Path, device: torch.device) -> RunState:
    """The state that a checkpoint holds; torch's, numpy's and Python's random numbers stand where they stood.

    Args:
        checkpoint: the state.
        folder: where it was read from, for the message.
        device: where the run goes on.

    Raises:
        CheckpointError: if its parts do not belong together.
    """
    parts = checkpoint.parts
    try:
        network = network_of(parts).to(device)
        optimizer = make_optimizer(network, checkpoint.run.training)
        # A scheduler adds to the groups of a new optimizer: what was kept comes after it.
        state = RunState.of(checkpoint.run, network, optimizer)
        set_optimizer_state(network, optimizer, parts["optimizer"])
        check_step(optimizer)
        state.learning_rate.load_state_dict(parts["learning_rate"])
        state.average.load_state_dict(parts["average"])
        for name, generator in state.generators.items():
            generator.set_state(parts["generators"][name])
        state.progress = checkpoint.progress
        if (kept := parts.get("rewind")) is not None:
            state.rewind = AnnealState(**{**_with_new_names(kept), "phase": Phase(kept["phase"])})
        for name in ("best", "ungrown"):
            if (kept := parts.get(name)) is not None:
                setattr(state, name, Best(**kept))
        state.kept = parts.get("kept")
        set_random_state(parts["random"], device)
    except _NO_CHECKPOINT as error:
        raise _foreign(folder, error) from error
    return state


def kept_network(checkpoint: Checkpoint, folder: Path) -> Network:
    """The network alone, on the CPU; random numbers are left as they are.

    Raises:
        CheckpointError: if its parts do not belong together.
    """
    try:
        network = network_of(checkpoint.parts)
        for name, units in (checkpoint.parts.get("units") or {}).items():
            network = UNITS[name].from_entry(units).folded(network)
        return network
    except _NO_CHECKPOINT as error:
        raise _foreign(folder, error) from error


def _with_new_names(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(name, name): entry for name, entry in entries.items()}


def _foreign(folder: Path, error: Exception) -> CheckpointError:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return CheckpointError(f"{folder}: does not hold a state of a run ({first})")
