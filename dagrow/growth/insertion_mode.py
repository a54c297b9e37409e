"""Applies the selected candidate in the insertion mode of the run file."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network
from dagrow.planner import Candidate, apply
from dagrow.spec import RunSpec
from dagrow.training.schedules import schedule_of
from dagrow.training.state import RunContext
from dagrow.training.train_unit import steps_between_growth

ENOUGH = 100
"""Gradient steps, as many as were tried, that bring silent neurons to life before the next growth step."""


def insert(
    task: RunContext,
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
    scaling = None if candidate.trial is None else candidate.trial.scaling
    searched = scaling is not None and scaling.searched and scaling.may_be_silenced
    way = way_to_insert(task.spec, len(task.split.train), network, searched=searched)
    apply(network, candidate, optimizer, insert=way, random_weights=growth.random_weights, averages=averages)
    return way


def way_to_insert(run: RunSpec, samples: int, network: Network, *, searched: bool = True) -> str:
    """The entry of `INSERT` for a run.

    ``auto`` is ``zero_fan_out_unscaled`` for vectors where enough training follows each insertion: it ends with a
    lower test loss there than insertion at the amplitude that is best at once; not for maps, where it ends with a
    higher one (docs/explanation/generalisation.md). It is ``amplitude``, too, where neurons without fan-out would stay
    so and be found again, for little or no training follows, or a closed-form update, or the next step of a row; where
    they would be removed as useless, by ``growth.prune_tolerance`` or ``training.penalty``; where updates come along;
    and for what enters as its method made it, or moves weights only.

    Args:
        run: the run file.
        samples: for training.
        network: as it is now.
        searched: whether the amplitude of what is inserted was, and there is something to be silenced.
    """
    growth, training = run.growth, run.training
    if growth.insert != "auto":
        return growth.insert
    untrained = schedule_of(run).planned(run) == 0 or training.closed_form_updates or growth.insertions_per_step > 1
    moved = growth.with_update != "none"
    judged = growth.prune_tolerance is not None or training.penalty is not None
    enough = steps_between_growth(run, samples, network) >= ENOUGH
    maps = any(network.dag.merged(node).position_count > 1 for node in network.dag.order)
    silent = searched and enough and not (untrained or moved or judged or maps)
    return "zero_fan_out_unscaled" if silent else "amplitude"
