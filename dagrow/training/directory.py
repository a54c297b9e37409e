"""A run directory: what a run leaves behind, written so that it is always whole."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from dagrow.build import Network, build
from dagrow.errors import RunError
from dagrow.graph import load_graph
from dagrow.spec import GraphSpec, RunSpec, dump_graph, dump_run
from dagrow.spec.disk import replace_file
from dagrow.training.disk import disk_errors
from dagrow.training.dtype import dtype_of
from dagrow.training.lock import LOCK, DirectoryLock


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run: ``run.yaml``, ``graph.yaml``, ``weights.safetensors``, ``journal.jsonl``, ``exported/``.

    Until a run has ended, there is ``checkpoints/`` too.
    """

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

    @property
    def run(self) -> Path:
        """The run as it was meant, every default written out."""
        return self.path / "run.yaml"

    @property
    def checkpoints(self) -> Path:
        """What a run that has not ended is continued from."""
        return self.path / "checkpoints"

    @property
    def steps(self) -> Path:
        """The states after growth steps, to go back to."""
        return self.path / "steps"

    @classmethod
    def made(cls, out: str | Path | None, name: str) -> RunDirectory:
        """An empty directory; without ``out``, ``runs/NAME`` or the next free ``runs/NAME-2``, ...

        Raises:
            RunError: if the directory holds something already, or cannot be made.
        """
        path = _free_path(name) if out is None else Path(out)
        try:
            path.mkdir(parents=True, exist_ok=True)
            _check_empty(path)
        except OSError as error:
            raise RunError(f"{path} cannot be used as a run directory: {error.strerror or error}") from error
        return cls(path)

    def locked(self) -> DirectoryLock:
        """Keeps other processes out, as a context manager."""
        return DirectoryLock(self.path)

    def begin(self, run: RunSpec) -> None:
        """Writes down what the run is to be, once the directory is locked.

        Raises:
            RunError: if another run has begun there meanwhile, or it cannot be written.
        """
        with disk_errors(self.path):
            _check_empty(self.path)
            replace_file(self.run, dump_run(run).encode("utf-8"))

    @classmethod
    def begun(cls, path: str | Path) -> RunDirectory:
        """The directory of a run that has begun, and may have been stopped at any moment.

        Raises:
            RunError: if it is none, or holds links instead of files of its own.
        """
        directory = cls(Path(path))
        if not directory.path.is_dir():
            raise RunError(f"{path} is not there, so there is no run to continue; without --resume it starts there")
        if not directory.run.is_file():
            raise RunError(f"{path} holds no run to continue: there is no run.yaml in it")
        directory.check_own()
        return directory

    def check_own(self) -> None:
        """Refuses links in the place of the run's own files: nothing outside of it is ever written.

        Raises:
            RunError: naming the link.
        """
        files = (self.run, self.graph, self.weights, self.journal)
        for own in (*files, self.checkpoints, self.steps, self.exported):
            if own.is_symlink():
                raise RunError(f"{own} is a link: all files of a run must be its own")

    def remove_leftovers(self) -> None:
        """Takes away what a killed process left unfinished."""
        for path in self.path.glob(".*.part"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    @classmethod
    def existing(cls, path: str | Path) -> RunDirectory:
        """An existing run directory.

        Raises:
            RunError: if it lacks what a run leaves behind.
        """
        directory = cls(Path(path))
        if not directory.path.is_dir():
            raise RunError(f"{path} is not a directory; give one that 'dagrow grow' has made")
        directory.check_own()
        missing = [f.name for f in (directory.graph, directory.weights, directory.journal) if not f.is_file()]
        if missing:
            raise RunError(f"{path} is not a complete run directory: it lacks {', '.join(missing)}")
        return directory

    def save(self, network: Network) -> None:
        """Writes graph and weights, each whole or not at all; the graph first, see `load`."""
        state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
        with disk_errors(self.path):
            replace_file(self.graph, dump_graph(network.spec).encode("utf-8"))
            replace_file(self.weights, save(state))

    def load(self) -> Network:
        """The network as last saved, on the CPU.

        Raises:
            RunError: if weights and graph do not belong together, or a file is damaged.
        """
        graph = load_graph(self.graph)
        try:
            check_shapes(graph, self.weights)
            weights = load_file(self.weights)
            network = build(graph, seed=0).to(dtype_of(weights))
            network.load_state_dict(weights)
        except (SafetensorError, OSError, RuntimeError, ValueError) as error:
            raise RunError(f"{self.weights} does not fit {self.graph}: {error}") from error
        return network


def check_shapes(graph: GraphSpec, weights: Path) -> None:
    """Compares the head of a file of weights with a graph, before memory is taken for either.

    Raises:
        ValueError: if the graph has other weights.
    """
    with torch.device("meta"):
        expected = {name: list(value.shape) for name, value in build(graph, seed=0).state_dict().items()}
    with safe_open(weights, framework="pt") as file:
        stored = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    for name in (*expected, *stored):
        if expected.get(name) != stored.get(name):
            raise ValueError(f"{name} is {stored.get(name, 'not there')}, not {expected.get(name, 'there')}")


def _check_empty(path: Path) -> None:
    if RunDirectory(path).checkpoints.is_dir():
        raise RunError(f"{path} holds a run that has not ended: continue it with --resume, or choose another --out")
    if any(entry.name != LOCK for entry in path.iterdir()):
        raise RunError(f"{path} is not empty; choose another --out, or remove it first")


def _free_path(name: str) -> Path:
    base = Path("runs") / name
    path, number = base, 1
    while path.exists() and (not path.is_dir() or any(path.iterdir())):
        number += 1
        path = base.with_name(f"{name}-{number}")
    return path
