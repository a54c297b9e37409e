"""The network and samples of a run directory, or of a run file whose network is untrained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from dagrow.build import Network, build
from dagrow.build.network import derived_seed
from dagrow.data import Samples, TrainTestSplit, load_data
from dagrow.errors import RunError
from dagrow.graph import Dag, load_run
from dagrow.objectives import LOSSES
from dagrow.renaming import renamed_keywords
from dagrow.runs import RunDirectory
from dagrow.spec import RunSpec
from dagrow.spot.result import Spot
from dagrow.spot.spot import spot
from dagrow.training import Objective
from dagrow.training.dtype import DTYPES
from dagrow.training.sample_sizes import batch_that_fits, samples_needed
from dagrow.training.targets import TargetUnits, begin_at_priors

UNTRAINED = "the network of a run file is untrained: what it lacks will change with training"


@renamed_keywords(completion="fallback_method")
def spot_run(
    source: str | Path,
    *,
    neurons: int = 4,
    nodes: Sequence[str] | None = None,
    samples: int | Literal["auto"] = "auto",
    method: str = "tiny",
    fallback_method: str = "nonlinear",
    settings: Sequence[str] = (),
) -> Spot:
    """`spot` for the network of a run directory as it was last saved, or of a run file before any training.

    Args:
        source: a run directory, or a run file.
        neurons: new features whose gain is measured, at each node.
        nodes: the only nodes to look at; all if left out.
        samples: training samples to look at, drawn once; ``auto`` takes as many as a growth step would.
        method: how new features are made.
        fallback_method: what makes them where ``tiny`` finds none.
        settings: changes of a run file, as on the command line.

    Raises:
        RunError: if the directory is not that of a run, or has no run file.
        DataError: if its data are not there, or do not fit.
        GrowthError: as `spot`.
    """
    run, network, split = _of_directory(source) if Path(source).is_dir() else _of_file(source, settings)
    dtype = DTYPES[run.training.dtype]
    train = split.to("cpu", dtype).train
    network = network.to(dtype).eval()
    drawn = _drawn(train, network.dag, samples, run.seed)
    found = spot(
        network,
        Objective(LOSSES[run.training.loss]),
        drawn.batches(batch_that_fits(network.dag)),
        neurons=neurons,
        nodes=nodes,
        method=method,
        fallback_method=fallback_method,
        seed=derived_seed(run.seed, "spot"),
    )
    return found if Path(source).is_dir() else replace(found, note=UNTRAINED)


def _of_directory(source: str | Path) -> tuple[RunSpec, Network, TrainTestSplit]:
    """The run, its network in the user's units, and its data."""
    directory = RunDirectory.existing(source)
    if not directory.run.is_file():
        raise RunError(f"{source} has no {directory.run.name}: its data are not known")
    run, network = load_run(directory.run), directory.load()
    return run, network, load_data(run.data, network.dag, LOSSES[run.training.loss], run.seed)


def _of_file(source: str | Path, settings: Sequence[str]) -> tuple[RunSpec, Network, TrainTestSplit]:
    """The run, the network that it would begin with, and its data."""
    run = load_run(source, settings)
    dag = Dag.of(run.graph)
    split = load_data(run.data, dag, LOSSES[run.training.loss], run.seed)
    units = TargetUnits.of(run, dag, split)
    network = build(run.graph, seed=run.seed)
    begin_at_priors(run, network, split if units is None else units.split(split))
    return run, network if units is None else units.folded(network), split


def _drawn(train: Samples, dag: Dag, wanted: int | Literal["auto"], seed: int) -> Samples:
    count = min(len(train), samples_needed(dag) if wanted == "auto" else wanted)
    if count == len(train):
        return train
    generator = torch.Generator().manual_seed(derived_seed(seed, "samples of spot"))
    return train.rows(torch.randperm(len(train), generator=generator)[:count].sort().values)
