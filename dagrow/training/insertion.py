"""What was chosen comes in, as the run file says."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network
from dagrow.planner import Candidate, apply
from dagrow.spec import RunSpec
from dagrow.training.schedules import SCHEDULES
from dagrow.training.state import Task
from dagrow.training.twin import steps_between_growth

ENOUGH = 50
"""Gradient steps that bring silent neurons to life before the next growth step looks for what is missing."""


def insert(
    task: Task,
    network: Network,
    candidate: Candidate,
    optimizer: torch.optim.Optimizer,
    averages: Sequence[AveragedModel] = (),
) -> str:
    """Inserts a candidate in place.

    Args:
        task: the run.
        network: its network, or a copy.
        candidate: that was proposed for it.
        optimizer: of that network.
        averages: likewise.

    Returns:
        How: the entry of `INSERT`.
    """
    growth = task.spec.growth
    way = way_to_insert(task.spec, len(task.split.train), network)
    apply(network, candidate, optimizer, insert=way, random_weights=growth.random_weights, averages=averages)
    return way


def way_to_insert(run: RunSpec, samples: int, network: Network) -> str:
    """The entry of `INSERT` for a run.

    ``auto`` is ``silent`` where enough training follows each insertion: it ends with a lower test loss than insertion
    at the amplitude that is best at once (docs/generalisation.md). Where little, nothing, or a closed-form update
    follows, or the next step of a row, silent neurons would stay so and be found again: it is ``amplitude`` there.

    Args:
        run: the run file.
        samples: for training.
        network: as it is now.
    """
    if run.growth.insert != "auto":
        return run.growth.insert
    trained = SCHEDULES[run.growth.schedule].planned(run) > 0 and not run.training.best_updates
    trained = trained and run.growth.in_a_row == 1
    return "silent" if trained and steps_between_growth(run, samples, network) >= ENOUGH else "amplitude"
