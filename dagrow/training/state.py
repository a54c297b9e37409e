"""The immutable context of a run, and its mutable state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from dagrow.build import Network, build
from dagrow.build.network import derived_seed
from dagrow.data import Samples, TrainTestSplit
from dagrow.distributed import ALONE, Processes
from dagrow.objectives import LOSSES, Loss
from dagrow.spec import RunSpec
from dagrow.training.annealing_phases import AnnealState
from dagrow.training.class_weights import class_weights
from dagrow.training.dtype import DTYPES
from dagrow.training.epochs import Objective, Score, evaluate, make_optimizer
from dagrow.training.initial_weights import INITIAL_WEIGHTS
from dagrow.training.inputs import InputUnits
from dagrow.training.learning_rate import LearningRate
from dagrow.training.metrics import NO_METRICS, Metrics
from dagrow.training.progress import Progress
from dagrow.training.sample_sizes import batch_that_fits
from dagrow.training.schedules import schedule_of
from dagrow.training.targets import TargetUnits
from dagrow.training.validation import Best
from dagrow.training.weight_ema import WeightEMA

_SCORING_BATCH = 1_024


@dataclass(frozen=True)
class RunContext:
    """What stays the same from start to end.

    Attributes:
        spec: the run file.
        split: samples, on the device of the run.
        objective: the loss.
        held_out: training samples kept back, where the run rewinds or validates.
        processes: that do it together.
        units: of the targets, where samples and network have others than the user's; losses are the user's always.
        inputs: units of the inputs, likewise.
        returned: samples that were held out and are for training now.
        metrics: of the user, measured beside the scores.
    """

    spec: RunSpec
    split: TrainTestSplit
    objective: Objective
    held_out: Samples | None = None
    processes: Processes = ALONE
    units: TargetUnits | None = None
    inputs: InputUnits | None = None
    returned: Samples | None = None
    metrics: Metrics = NO_METRICS

    @classmethod
    def of(
        cls,
        spec: RunSpec,
        split: TrainTestSplit,
        held_out: Samples | None = None,
        processes: Processes = ALONE,
        units: TargetUnits | None = None,
        inputs: InputUnits | None = None,
        loss: Loss | None = None,
        metrics: Metrics = NO_METRICS,
    ) -> RunContext:
        """With the loss that the run file names, or another one."""
        factor = 1.0 if units is None else units.scale**2
        loss = loss or LOSSES[spec.training.loss]
        objective = Objective(loss, factor, class_weights(spec, split))
        return cls(spec, split, objective, held_out, processes, units, inputs, metrics=metrics)

    def in_user_units(self, network: Network) -> Network:
        """The network, or one that reads and puts out the user's units where it was trained in others."""
        for units in (self.units, self.inputs):
            network = network if units is None else units.folded(network)
        return network

    def units_entry(self) -> dict[str, Any]:
        """The units as plain data."""
        both = {"targets": self.units, "inputs": self.inputs}
        return {name: units.entry() for name, units in both.items() if units is not None}

    def with_all_samples(self) -> RunContext:
        """The same with the samples that were held out among those for training."""
        if self.held_out is None:
            return self
        if self.split.validation is not None:
            # Whoever gives a validation set does not want it to be trained on.
            return replace(self, held_out=None)
        split = replace(self.split, train=self.split.train.joined(self.held_out))
        return replace(self, split=split, held_out=None, returned=self.held_out)

    def measure(self, network: Network, samples: Samples) -> dict[str, float]:
        """The metrics of the user on these samples, in the user's units; each process measures all of them."""
        size = min(_SCORING_BATCH, batch_that_fits(network.dag))
        return self.metrics.measure(network, samples, size, self.units)

    def score(self, network: Network, samples: Samples) -> Score:
        """How good the network is on these samples, in eval mode."""
        size = min(_SCORING_BATCH, batch_that_fits(network.dag))
        return evaluate(network, self.objective, samples, size, self.processes)


@dataclass
class RunState:
    """All that a run changes, beside torch's, numpy's and Python's own random numbers.

    Attributes:
        network: as grown and trained so far.
        optimizer: over its parameters.
        learning_rate: sets that of the optimizer.
        average: of the network's weights.
        order: draws the order of the training samples, epoch by epoch.
        looks: draws the samples that growth steps look at.
        progress: what is done.
        rewind: where the run stands that rewinds; None for others.
        best: the network that was best on validation samples; None where the run has none.
        ungrown: likewise before anything grew, where growth goes by validation.
        kept: network, optimizer and average after the last unit of training that was not taken back.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    learning_rate: LearningRate
    average: WeightEMA
    order: torch.Generator
    looks: torch.Generator
    progress: Progress = field(default_factory=Progress)
    rewind: AnnealState | None = None
    best: Best | None = None
    ungrown: Best | None = None
    kept: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, spec: RunSpec, network: Network, optimizer: torch.optim.Optimizer) -> RunState:
        """With this network, nothing done yet.

        Raises:
            OptimizerError: if the scheduler refuses its options.
        """
        order, looks = (derived_seed(spec.seed, name) for name in ("order of samples", "samples for statistics"))
        rewind = None if spec.training.anneal is None else AnnealState.at_start(spec)
        return cls(
            network,
            optimizer,
            LearningRate(optimizer, spec.training.scheduler),
            WeightEMA(network, spec.training.ema_decay),
            torch.Generator().manual_seed(order),
            torch.Generator().manual_seed(looks),
            rewind=rewind,
            best=None if spec.training.validation_fraction is None else Best(by_loss=schedule_of(spec).by_width),
        )

    @classmethod
    def fresh(cls, spec: RunSpec, device: torch.device) -> RunState:
        """The state in which a run begins.

        Raises:
            SpecError: if the graph does not hold together.
            OptimizerError: if the optimizer or the scheduler refuses its options.
        """
        network = build(spec.graph, seed=spec.seed)
        INITIAL_WEIGHTS[spec.training.initial_weights](network, spec.seed)
        network = network.to(device, DTYPES[spec.training.dtype])
        return cls.of(spec, network, make_optimizer(network, spec.training))

    @property
    def generators(self) -> dict[str, torch.Generator]:
        """The generators of the run's own, by name."""
        return {"order": self.order, "looks": self.looks}

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device
