"""A run from its file to the grown network."""

from __future__ import annotations

from pathlib import Path

import torch

from dagrow.build.network import derived_seed
from dagrow.data import load_data
from dagrow.graph import Dag, load_run
from dagrow.objectives import LOSSES
from dagrow.ops import position_count
from dagrow.planner import find_places
from dagrow.report import Reporter, Silent
from dagrow.spec import RunSpec
from dagrow.training.device import find_device
from dagrow.training.directory import RunDirectory
from dagrow.training.epochs import TrainingError
from dagrow.training.loop import Loop
from dagrow.training.record import Record
from dagrow.training.result import GrowthResult
from dagrow.training.state import RunState, Task


def grow(
    run: RunSpec | str | Path,
    *,
    out: str | Path | None = None,
    write: bool = True,
    device: str = "cpu",
    reporter: Reporter | None = None,
) -> GrowthResult:
    """Trains and grows a network as a run file says.

    Args:
        run: the spec, or the path of a run file.
        out: the run directory, new or empty; ``runs/NAME`` or the next free name if left out.
        write: with False, nothing is written and no directory is made.
        device: where to train, as torch names it.
        reporter: told what happens; silent if left out.

    Returns:
        The grown network, its scores and the journal.

    Raises:
        DagrowError: one of its kinds, for whatever a person can mend; a directory that exists stays whole.
    """
    spec = run if isinstance(run, RunSpec) else load_run(run)
    find_places(Dag.of(spec.graph), spec.growth.candidates, spec.growth.nodes, spec.growth.new_node)
    place = find_device(device)
    task = _task(spec, place)
    state = RunState.fresh(spec, place)
    # Last of all, so that nothing is left behind where something above is refused.
    directory = RunDirectory.create(out, spec) if write else None
    torch.manual_seed(derived_seed(spec.seed, "dropout"))
    return Loop(task, state, Record(task, directory), reporter or Silent()).run()


def _task(spec: RunSpec, device: torch.device) -> Task:
    dag = Dag.of(spec.graph)
    split = load_data(spec.data, dag, LOSSES[spec.training.loss], spec.seed)
    _check_batches(dag, min(spec.training.batch_size, len(split.train)))
    return Task.of(spec, split.to(device))


def _check_batches(dag: Dag, samples: int) -> None:
    """Batch norm on vectors learns from two samples or more."""
    for name in dag.order:
        if samples == 1 and dag.node(name).norm == "batch" and position_count(dag.merged(name)) == 1:
            raise TrainingError(f"norm 'batch' of '{name}' needs batches of at least 2 samples, not 1")
