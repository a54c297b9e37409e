"""A run directory: what a run leaves behind, written so that it is always whole."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dagrow.build import Network, build
from dagrow.errors import RunError
from dagrow.graph import load_graph
from dagrow.spec import RunSpec, dump_run, save_graph, write_atomically


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run: ``run.yaml``, ``graph.yaml``, ``weights.safetensors``, ``journal.jsonl``, ``exported/``."""

    path: Path

    @property
    def graph(self) -> Path:
        """The graph as it is now."""
        return self.path / "graph.yaml"

    @property
    def weights(self) -> Path:
        """The weights that fit it."""
        return self.path / "weights.safetensors"

    @property
    def journal(self) -> Path:
        """The record of events."""
        return self.path / "journal.jsonl"

    @property
    def exported(self) -> Path:
        """The grown network as plain PyTorch: ``model.py`` and its own ``weights.safetensors``."""
        return self.path / "exported"

    def explained(self, step: int) -> Path:
        """The picture of why a growth step did what it did, where its method has something to draw."""
        return self.path / "explained" / f"step-{step}.png"

    @classmethod
    def create(cls, out: str | Path | None, run: RunSpec) -> RunDirectory:
        """Makes a new directory; without a name, ``runs/NAME`` or the next free ``runs/NAME-2``, ...

        Raises:
            RunError: if the directory holds something already, or cannot be made.
        """
        path = _free_path(run.name) if out is None else Path(out)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise RunError(f"{path} is not empty; choose another --out, or remove it first")
        except OSError as error:
            raise RunError(f"{path} cannot be used as a run directory: {error.strerror or error}") from error
        directory = cls(path)
        with disk_errors(path):
            write_atomically(dump_run(run), path / "run.yaml")
        return directory

    @classmethod
    def existing(cls, path: str | Path) -> RunDirectory:
        """An existing run directory.

        Raises:
            RunError: if it lacks what a run leaves behind.
        """
        directory = cls(Path(path))
        if not directory.path.is_dir():
            raise RunError(f"{path} is not a directory; give one that 'dagrow grow' has made")
        missing = [f.name for f in (directory.graph, directory.weights, directory.journal) if not f.is_file()]
        if missing:
            raise RunError(f"{path} is not a complete run directory: it lacks {', '.join(missing)}")
        return directory

    def save(self, network: Network) -> None:
        """Writes graph and weights, each whole or not at all; the graph first, see `load`."""
        with disk_errors(self.path):
            state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
            handle, name = tempfile.mkstemp(dir=self.path, prefix=".weights-")
            os.close(handle)
            try:
                save_file(state, name)
                descriptor = os.open(name, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)
                save_graph(network.spec, self.graph)
                os.replace(name, self.weights)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def load(self) -> Network:
        """The network as last saved, on the CPU.

        Raises:
            RunError: if weights and graph do not belong together, or a file is damaged.
        """
        network = build(load_graph(self.graph), seed=0)
        try:
            state = load_file(self.weights)
            network.load_state_dict(state)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise RunError(f"{self.weights} does not fit {self.graph}: {error}") from error
        return network


class disk_errors:  # a context manager that reads as a statement
    """Turns errors of the disk into a `RunError` that names the directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, SafetensorError)):
            raise RunError(f"{self.path} cannot be written: {error}") from error


def _free_path(name: str) -> Path:
    base = Path("runs") / name
    path, number = base, 1
    while path.exists() and (not path.is_dir() or any(path.iterdir())):
        number += 1
        path = base.with_name(f"{name}-{number}")
    return path
