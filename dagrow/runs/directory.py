"""A run directory: what a run leaves behind, written so that it is always whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dagrow.build import Network, build
from dagrow.data import PREPROCESSING, Preprocessing
from dagrow.errors import DataError, RunError
from dagrow.files import read_file, replace_file
from dagrow.files.disk import disk_errors
from dagrow.graph import Dag, load_graph
from dagrow.runs.module_directory import refuse_module_run
from dagrow.runs.run_folder import RunFolder
from dagrow.runs.weights import check_graph, read_weights, weights_file
from dagrow.spec import GraphSpec, RunSpec, dump_graph, dump_run
from dagrow.training.dtype import dtype_of


@dataclass(frozen=True)
class RunDirectory(RunFolder):
    """Paths of a run: ``run.yaml``, ``graph.yaml``, ``weights.safetensors``, ``journal.jsonl``, ``exported/``, ..."""

    @property
    def graph(self) -> Path:
        """The graph as it is now."""
        return self.path / "graph.yaml"

    @property
    def exported(self) -> Path:
        """The grown network as plain PyTorch: ``model.py`` and its own ``weights.safetensors``."""
        return self.path / "exported"

    def explained(self, step: int) -> Path:
        """The picture of why a growth step did what it did, where its method has something to draw."""
        return self.path / "explained" / f"step-{step}.png"

    @property
    def preprocessing(self) -> Path:
        """What is done to inputs, and what outputs mean; runs of earlier versions have none."""
        return self.path / PREPROCESSING

    def begin(self, run: RunSpec) -> None:
        """Writes down what the run is to be, once the directory is locked.

        Raises:
            RunError: if another run has begun there meanwhile, or it cannot be written.
        """
        with disk_errors(self.path):
            self.check_empty()
            replace_file(self.run, dump_run(run).encode("utf-8"))

    def check_kind(self) -> None:
        """Refuses runs of modules of one's own.

        Raises:
            RunError: if it is one.
        """
        refuse_module_run(self.path)

    @property
    def without_weights(self) -> str:
        """What is there of steps whose weights are not kept, for messages."""
        return f"; the graph alone, of any step of the journal, comes by dagrow replay {self.path} --to STEP --out FILE"

    @property
    def own_files(self) -> tuple[Path, ...]:
        """Its files, but for those in folders."""
        return (self.run, self.preprocessing, self.graph, self.weights, self.journal)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Its folders."""
        return (*super().folders, self.exported, self.explained(1).parent)

    @property
    def kept_folders(self) -> tuple[Path, ...]:
        """Those that stay when the run has ended."""
        return (self.exported, self.steps)

    @classmethod
    def existing(cls, path: str | Path) -> RunDirectory:
        """An existing run directory.

        Raises:
            RunError: if it lacks what a run leaves behind.
        """
        directory = cls(Path(path))
        if not directory.path.is_dir():
            raise RunError(f"{path} is not a directory; give one that 'dagrow grow' has made")
        directory.check_kind()
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
