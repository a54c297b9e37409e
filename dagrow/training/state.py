"""What a run is about, and the state that it is in."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from dagrow.build import Network, build
from dagrow.build.network import derived_seed
from dagrow.data import Samples, Split
from dagrow.objectives import LOSSES
from dagrow.spec import RunSpec
from dagrow.training.average import Average
from dagrow.training.epochs import Objective, Score, evaluate, make_optimizer
from dagrow.training.progress import Progress
from dagrow.training.sampling import batch_that_fits
from dagrow.training.schedule import Schedule

_SCORING_BATCH = 1_024


@dataclass(frozen=True)
class Task:
    """What stays the same from start to end.

    Attributes:
        spec: the run file.
        split: samples, on the device of the run.
        objective: the loss.
    """

    spec: RunSpec
    split: Split
    objective: Objective

    @classmethod
    def of(cls, spec: RunSpec, split: Split) -> Task:
        """With the loss that the run file names."""
        return cls(spec, split, Objective(LOSSES[spec.training.loss]))

    def score(self, network: Network, samples: Samples) -> Score:
        """How good the network is on these samples, in eval mode."""
        return evaluate(network, self.objective, samples, min(_SCORING_BATCH, batch_that_fits(network.dag)))


@dataclass
class RunState:
    """All that a run changes, beside torch's, numpy's and Python's own random numbers.

    Attributes:
        network: as grown and trained so far.
        optimizer: over its parameters.
        schedule: of the optimizer's learning rate.
        average: of the network's weights.
        order: draws the order of the training samples, epoch by epoch.
        looks: draws the samples that growth steps look at.
        progress: what is done.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    average: Average
    order: torch.Generator
    looks: torch.Generator
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def fresh(cls, spec: RunSpec, device: torch.device) -> RunState:
        """The state in which a run begins.

        Raises:
            SpecError: if the graph does not hold together.
            OptimizerError: if the optimizer or the scheduler refuses its options.
        """
        network = build(spec.graph, seed=spec.seed).to(device)
        optimizer = make_optimizer(network, spec.training)
        return cls(
            network,
            optimizer,
            Schedule(optimizer, spec.training.scheduler),
            Average(network, spec.training.average),
            _generator(spec, "order of samples"),
            _generator(spec, "samples for statistics"),
        )


def _generator(spec: RunSpec, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed(spec.seed, name))
