"""The directory of a run of `dagrow.grow_module`: the grown module, its journal, and what the run goes on from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from dagrow.errors import RunError
from dagrow.files import read_file, replace_file
from dagrow.files.disk import disk_errors
from dagrow.runs.run_folder import RunFolder

_FORMAT = "dagrow module run"
_MOST = 2**20


@dataclass(frozen=True)
class ModuleRunDirectory(RunFolder):
    """Paths of a run of a module of one's own.

    ``module.json`` says what the run is to be; ``weights.safetensors``, ``growth.json`` and ``resize.py`` are those of
    `dagrow.save_module`, in the folders of ``checkpoints/`` and ``steps/`` too.
    """

    RUN_FILE: ClassVar[str] = "module.json"
    CONTINUE: ClassVar[str] = "resume=True"
    OTHER: ClassVar[str] = "another directory"

    @property
    def own_files(self) -> tuple[Path, ...]:
        """Its files, but for those in folders."""
        return (*super().own_files, self.path / "growth.json", self.path / "resize.py")

    @property
    def kept_folders(self) -> tuple[Path, ...]:
        """All: a run that has ended gives the optimizer as it was then."""
        return self.folders

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Writes down what the run is to be, once the directory is locked.

        Args:
            name: class of the module.
            settings: of the loop, plain data.

        Raises:
            RunError: if another run has begun there meanwhile, or it cannot be written.
        """
        head = {"format": _FORMAT, "schema": 1, "class": name, "settings": dict(settings)}
        with disk_errors(self.path):
            self.check_empty()
            replace_file(self.run, (json.dumps(head, indent=1) + "\n").encode())

    def settings(self) -> tuple[str, dict[str, Any]]:
        """Class of the module, and settings of the loop, as the run began.

        Raises:
            RunError: if the file is damaged.
        """
        try:
            head = json.loads(read_file(self.run, _MOST, follow=False))
            if head["format"] != _FORMAT or head["schema"] != 1:
                raise ValueError
            return str(head["class"]), dict(head["settings"])
        except OSError as error:
            raise RunError(f"{self.run}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{self.run}: damaged, or not written by this version") from error


def refuse_module_run(path: Path) -> None:
    """Refuses the directory of a module of one's own where a graph is needed.

    Raises:
        RunError: if it is one.
    """
    if ModuleRunDirectory.has_begun(path):
        raise RunError(
            f"{path} is a run of dagrow.grow_module: a module of one's own has no graph; log, report, diff and revert "
            "work on it, and its resize.py loads it"
        )
