"""A run directory: what a run leaves behind, written so that it is always whole."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dagrow.build import Network, build
from dagrow.data import PREPROCESSING, Preprocessing
from dagrow.errors import DataError, RunError
from dagrow.files import SUMS, check_sums, first_link, read_file, replace_file, write_sums
from dagrow.files.disk import disk_errors
from dagrow.graph import Dag, load_graph
from dagrow.runs.lock import LOCK, DirectoryLock
from dagrow.runs.weights import check_graph, read_weights, weights_file
from dagrow.spec import GraphSpec, RunSpec, dump_graph, dump_run
from dagrow.training.dtype import dtype_of


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run: ``run.yaml``, ``graph.yaml``, ``weights.safetensors``, ``journal.jsonl``, ``exported/``, ...

    Until a run has ended, there is ``checkpoints/`` too; when it has, ``SHA256SUMS`` says so, and what the files were.
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
    def preprocessing(self) -> Path:
        """What is done to inputs, and what outputs mean; runs of earlier versions have none."""
        return self.path / PREPROCESSING

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
        """Refuses links in the place of the run's own files, in its folders too: nothing outside is ever written.

        Raises:
            RunError: naming the link.
        """
        folders = (self.checkpoints, self.steps, self.exported, self.explained(1).parent)
        own = (*self._files, self.path / SUMS, *folders)
        with disk_errors(self.path):
            link = first_link(self.path, (path.name for path in own))
        if link is not None:
            raise RunError(f"{link} is a link: all files of a run must be its own")

    @property
    def _files(self) -> tuple[Path, ...]:
        return (self.run, self.preprocessing, self.graph, self.weights, self.journal)

    @property
    def ended(self) -> bool:
        """Whether it is written down that the run has come to its end; of early versions, only the journal says so."""
        return os.path.lexists(self.path / SUMS)

    def write_sums(self) -> None:
        """Says that the run has ended, and what its files are: their checksums.

        Raises:
            RunError: if the disk refuses.
        """
        kept = [file for folder in (self.exported, self.steps) for file in folder.rglob("*") if file.is_file()]
        own = [file for file in self._files if file.is_file()]
        with disk_errors(self.path):
            write_sums(self.path, [*own, *sorted(kept)])

    def check_sums(self, *files: Path) -> None:
        """Compares some of its files, or all beside its folders, with what they were when the run ended.

        Raises:
            RunError: naming a file that is another.
        """
        check_sums(self.path, files or self._files)

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
        directory.check_sums()
        return directory

    def save(self, network: Network) -> None:
        """Writes graph and weights, each whole or not at all; the graph first, see `load`."""
        weights = weights_file(network.state_dict(), network.spec)
        with disk_errors(self.path):
            replace_file(self.graph, dump_graph(network.spec).encode("utf-8"))
            replace_file(self.weights, weights)

    def save_preprocessing(self, preprocessing: Preprocessing | None) -> None:
        """Writes what is done to inputs, whole or not at all; nothing for samples of which nobody says."""
        if preprocessing is not None:
            with disk_errors(self.path):
                replace_file(self.preprocessing, preprocessing.to_json())

    def load_preprocessing(self, dag: Dag) -> Preprocessing | None:
        """What was done to inputs; None where an earlier version has not written it down.

        Args:
            dag: whose inputs it must fit.

        Raises:
            RunError: if the file is damaged, or belongs to another graph.
        """
        try:
            return Preprocessing.from_json(read_file(self.preprocessing, follow=False), dag)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"{self.preprocessing}: {error.strerror or error}") from error
        except DataError as error:
            raise RunError(f"{self.preprocessing}: {error}") from error

    def load_graph(self) -> GraphSpec:
        """The graph as last saved; that of the weights, where there are some.

        Raises:
            RunError: if the weights are those of another graph.
        """
        graph = load_graph(self.graph)
        if self.weights.is_file():
            check_graph(self.weights, graph, self.graph)
        return graph

    def load(self) -> Network:
        """The network as last saved, on the CPU.

        Raises:
            RunError: if weights and graph do not belong together, or a file is damaged.
        """
        graph = load_graph(self.graph)
        weights = read_weights(self.weights, graph, self.graph)
        try:
            network = build(graph, seed=0).to(dtype_of(weights))
            network.load_state_dict(weights)
        except (RuntimeError, ValueError) as error:
            raise RunError(f"{self.weights} does not fit {self.graph}: {error}") from error
        return network


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
