"""Training samples kept back to judge by, and the network that was best on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from dagrow.build import Network
from dagrow.build.network import derived_seed
from dagrow.data import Samples, TrainTestSplit
from dagrow.data.splitting import labels_of
from dagrow.objectives import LOSSES
from dagrow.spec import RunSpec, plain_graph
from dagrow.training.epochs import Score, TrainingError
from dagrow.training.schedules import schedule_of


def split_held_out(run: RunSpec, split: TrainTestSplit) -> tuple[TrainTestSplit, Samples | None]:
    """Keeps a share of the training samples back; None where the run does not ask for it.

    Raises:
        TrainingError: if nothing would be left on one side.
    """
    if split.validation is not None:
        return split, split.validation
    if run.training.anneal is not None:
        name, share = "training.anneal.held_out", run.training.anneal.held_out
    elif run.training.validation_fraction is not None:
        name, share = "training.validation_fraction", run.training.validation_fraction
    else:
        return split, None
    total = len(split.train)
    count = round(share * total)
    if schedule_of(run).by_width:
        return _drawn_by_class(run, split, share)
    if not 0 < count < total:
        raise TrainingError(f"{name} keeps {count} of {total} training samples back; there must be some on both sides")
    generator = torch.Generator().manual_seed(derived_seed(run.seed, "held-out samples"))
    order = torch.randperm(total, generator=generator).to(split.train.inputs[0].device)
    return replace(split, train=split.train.rows(order[count:])), split.train.rows(order[:count])


def _drawn_by_class(run: RunSpec, split: TrainTestSplit, share: float) -> tuple[TrainTestSplit, Samples | None]:
    """Of each class its share; none of a class that has one sample; none at all where there are too few to judge by."""
    train, seed = split.train, derived_seed(run.seed, "held-out samples")
    targets = tuple(target.cpu() for target in train.targets)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    held = torch.zeros(len(order), dtype=torch.bool)
    classes = labels_of(targets, LOSSES[run.training.loss])
    drawn = torch.zeros_like(order) if classes is None else classes[order]
    for group in sorted(set(drawn.tolist())):
        members = (drawn == group).nonzero().squeeze(1)
        held[members[: min(max(round(len(members) * share), 1), len(members) - 1)]] = True
    if not held.any():
        return split, None
    device = train.inputs[0].device
    return replace(split, train=train.rows(order[~held].to(device))), train.rows(order[held].to(device))


def error_of(score: Score) -> float:
    """The share of wrong answers; the loss where there is no such thing."""
    return score.loss if score.accuracy is None else 1.0 - score.accuracy


@dataclass
class Best:
    """The network that was best on the validation samples so far: fewest errors, of equal ones the lowest loss.

    Attributes:
        by_loss: the lowest loss alone decides.
        error: of it.
        loss: of it.
        epoch: passes over the training set that it had.
        step: growth steps likewise.
        graph: its graph as plain data; None before the first.
        weights: and running statistics, as they were.
    """

    by_loss: bool = False
    error: float = math.inf
    loss: float = math.inf
    epoch: int = 0
    step: int = 0
    graph: Mapping[str, Any] | None = None
    weights: Mapping[str, Any] | None = None

    def note(self, network: Network, score: Score, epoch: int, step: int) -> bool:
        """Takes in a score; whether it is the best so far, and the network was kept."""
        error = error_of(score)
        no_better = score.loss >= self.loss if self.by_loss else (error, score.loss) >= (self.error, self.loss)
        if not math.isfinite(score.loss) or no_better:
            return False
        self.error, self.loss, self.epoch, self.step = error, score.loss, epoch, step
        self.graph = plain_graph(network.spec)
        self.weights = {name: value.clone() for name, value in network.state_dict().items()}
        return True


def validation_entries(score: Score, *, kept: bool) -> dict[str, Any]:
    """What the journal says of a score on the validation samples."""
    return {"score": asdict(score), "best": kept}
