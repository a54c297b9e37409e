"""A checkpoint of a run of a module of one's own: the files of `dagrow.save_module`, and what goes on beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from dagrow.files import read_file, sha256
from dagrow.journal.writer import JournalPosition
from dagrow.runs.checkpoint.files import CheckpointError, decode, encode
from dagrow.serialization import pack, unpack

_FOREIGN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What comes of data that pretend to be a checkpoint."""


@dataclass(frozen=True)
class ModuleCheckpoint:
    """A state between two epochs.

    Attributes:
        epoch: that is done.
        step: growth steps so far.
        journal: the place in the journal that belongs to it.
        environment: versions and the device, on which the last bits depend.
        entry: optimizer and all else that goes on, as plain data and tensors.
    """

    epoch: int
    step: int
    journal: JournalPosition
    environment: Mapping[str, Any]
    entry: Mapping[str, Any]

    def files(self, module: Mapping[str, bytes]) -> dict[str, bytes]:
        """The files of this checkpoint by their names.

        Args:
            module: those of `dagrow.save_module`.

        Raises:
            RunError: if the entry holds what cannot be kept.
        """
        tensors: dict[str, Tensor] = {}
        content = {
            "epoch": self.epoch,
            "step": self.step,
            "journal": asdict(self.journal),
            "environment": dict(self.environment),
            "files": {name: sha256(data) for name, data in module.items()},
            "entry": {name: pack(part, name, tensors) for name, part in self.entry.items()},
        }
        return {**module, **encode(content, tensors)}

    @classmethod
    def read(cls, folder: Path) -> ModuleCheckpoint:
        """The checkpoint in a folder.

        Raises:
            CheckpointError: if it is damaged, cut off or none at all.
            NewerCheckpointError: if it was written by a newer version.
        """
        content, tensors = decode(folder)
        try:
            for name, expected in content["files"].items():
                if sha256(read_file(folder / name, follow=False)) != expected:
                    raise CheckpointError(f"{folder / name}: damaged or cut off, its checksum does not fit")
            return cls(
                int(content["epoch"]),
                int(content["step"]),
                TypeAdapter(JournalPosition).validate_python(content["journal"]),
                dict(content["environment"]),
                {name: unpack(part, tensors) for name, part in content["entry"].items()},
            )
        except OSError as error:
            raise CheckpointError(f"{error.filename}: {error.strerror or error}") from error
        except _FOREIGN as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CheckpointError(f"{folder}: does not hold a state of a module ({first})") from error
