"""A small run, stopped between two of its units."""

from pathlib import Path

import torch

from dagrow.data import Samples, TrainTestSplit, fingerprint
from dagrow.journal import Journal
from dagrow.runs.checkpoint import Checkpoint, capture
from dagrow.spec import RunSpec
from dagrow.training import train_epoch
from dagrow.training.schedules import after_training
from dagrow.training.state import RunContext, RunState

CPU = torch.device("cpu")
GRAPH = {
    "inputs": {"x": {"shape": [3]}},
    "nodes": {"h": {"size": 4, "activation": "relu", "norm": "batch", "dropout": 0.2}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear", "x -> y": "linear"},
    "outputs": "y",
}
ADAM = {"name": "adam", "lr": 0.01, "options": {"amsgrad": True, "betas": (0.8, 0.99)}}


def task_of(optimizer: dict | None = None) -> RunContext:
    """A run on drawn samples."""
    training = {"optimizer": optimizer or ADAM, "batch_size": 8}
    run = RunSpec.model_validate({"graph": GRAPH, "training": training, "growth": {"budget": {"steps": 2}}})
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 3, generator=generator), torch.randint(2, (30,), generator=generator)
    return RunContext.of(run, TrainTestSplit(Samples((x[:20],), (y[:20],)), Samples((x[20:],), (y[20:],))))


def trained(task: RunContext, epochs: int = 2) -> RunState:
    """Its state after some passes."""
    torch.manual_seed(3)
    return continued(task, RunState.fresh(task.spec, CPU), epochs)


def continued(task: RunContext, state: RunState, epochs: int) -> RunState:
    """The same state after some more passes."""
    for _ in range(epochs):
        batches = task.split.train.shuffled_batches(8, state.order)
        train_epoch(state.network, task.objective, state.optimizer, batches.portions())
        state.progress = after_training(task.spec, state.progress.after_start(), 1.0)
    return state


def checkpoint_of(task: RunContext, state: RunState) -> Checkpoint:
    """The state as it is kept."""
    return capture(task.spec, fingerprint(task.split), Journal().position, state)


def put(files: dict[str, bytes], folder: Path) -> Path:
    """Writes the files of a checkpoint."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
