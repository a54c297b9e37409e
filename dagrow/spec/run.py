"""What a run is: graph, data, training, growth, seed. A section left out takes the defaults below."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from dagrow.errors import listed
from dagrow.methods import COMPLETIONS, METHODS
from dagrow.objectives import LOSSES, OPTIMIZERS, SCHEDULERS
from dagrow.ops import ACTIVATIONS, NORMS
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.graph import GraphSpec, SpecFile, SpecPart, one_of
from dagrow.spec.nonparametric import PenaltySpec, RewindSpec, UnitsSpec
from dagrow.spec.options import NamedClass

Count = Annotated[int, Field(ge=1, le=2**40)]
Epochs = Annotated[int, Field(ge=0, le=10**6)]
Where = Literal["naive", "eigenvalue", "gain", "gain_per_parameter", "gain_per_mac", "smallest_gain", "random"]
Schedule = Literal["epochs", "steps", "plateau"]
Scope = Literal["best", "in_turn", "all"]
Insert = Literal["amplitude", "silent", "random_direction"]
Dtype = Literal["float32", "float64"]
Kind = Literal["widen", "edge", "node", "layer"]

DATASETS = ("digits", "wine", "breast_cancer", "iris", "diabetes")
"""The named data sets; `dagrow.data` reads each of them."""


class DataSpec(SpecPart):
    """Where samples come from: exactly one of ``dataset``, ``npz`` and ``csv``."""

    dataset: str | None = Field(default=None, description="a named data set that scikit-learn carries")
    npz: str | None = Field(default=None, description="file with x_train, y_train, x_test, y_test")
    csv: str | None = Field(default=None, description="table with a header line; 'target' names the column to learn")
    target: str | None = Field(default=None, description="column of the csv to learn")
    test_share: float = Field(
        default=0.2,
        gt=0.0,
        lt=1.0,
        description="share kept for testing where the source has no split of its own",
    )
    standardize: bool = Field(
        default=False,
        description="shift and scale each feature (channel) to mean 0, deviation 1 of the training set",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_source(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value.keys() & {"dataset", "npz", "csv"}:
            return {"dataset": "digits", **value}
        return value

    @model_validator(mode="after")
    def _one_source(self) -> DataSpec:
        given = [name for name in ("dataset", "npz", "csv") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one source of dataset, npz and csv, not {listed(given) or 'none'}")
        if (self.csv is None) != (self.target is None):
            raise ValueError("'csv' and 'target' go together: the table and its column to learn")
        return self


class OptimizerSpec(NamedClass):
    """The optimizer: its name, and any option of its ``torch.optim`` class."""

    classes: ClassVar[Mapping[str, Any]] = OPTIMIZERS
    own: ClassVar[frozenset[str]] = frozenset({"params", "lr"})

    name: Annotated[str, one_of(OPTIMIZERS, "optimizer")] = "adam"
    lr: float = Field(default=0.001, gt=0.0, le=1e6, allow_inf_nan=False, description="learning rate")
    options: FrozenDict[str, float | int | bool | tuple[float, float]] = Field(
        default=FrozenDict(), description="further options of the torch.optim class, by their names there"
    )


class SchedulerSpec(NamedClass):
    """The learning rate over time: a name, and any option of its ``torch.optim.lr_scheduler`` class."""

    classes: ClassVar[Mapping[str, Any]] = {name: entry.kind for name, entry in SCHEDULERS.items()}
    own: ClassVar[frozenset[str]] = frozenset({"optimizer", "last_epoch", "mode", "threshold_mode"})

    name: Annotated[str, one_of(SCHEDULERS, "scheduler")]
    options: FrozenDict[str, float | int | bool | tuple[int, ...]] = Field(
        default=FrozenDict(), description="options of the torch.optim.lr_scheduler class, by their names there"
    )


class CheckpointSpec(SpecPart):
    """How often a run is kept, so that it can be continued; whichever of the two is reached first."""

    seconds: float = Field(
        default=30.0,
        ge=0.0,
        le=1e9,
        allow_inf_nan=False,
        description="time after which the end of a pass is kept; 0 keeps every one. Each growth step is always kept",
    )
    epochs: Count | None = Field(default=None, description="passes after which the end of a pass is kept")
    steps: bool = Field(default=True, description="whether the state after each growth step is kept for good")


class TrainingSpec(SpecPart):
    """How weights are trained between and after insertions."""

    loss: Annotated[str, one_of(LOSSES, "loss")] = "cross_entropy"
    optimizer: OptimizerSpec = OptimizerSpec()
    penalty: PenaltySpec | None = Field(default=None, description="on the fan-in or fan-out of units")
    scheduler: SchedulerSpec | None = Field(default=None, description="of the learning rate, pass by pass")
    average: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        allow_inf_nan=False,
        description="the run ends with the moving average of the weights, of which each gradient step keeps so much",
    )
    dtype: Dtype = Field(
        default="float32",
        description="numbers the network computes with; with float64, runs differ less by the order of additions",
    )
    batch_size: Count = Field(default=128, description="samples per gradient step")
    batch_size_grows: bool = Field(default=False, description="with the root of the number of parameters")
    epochs_between_growth: Epochs = Field(default=1, description="passes before each growth step")
    steps_between_growth: Count = Field(
        default=100, description="gradient steps before each growth step, with the schedule 'steps'"
    )
    final_epochs: Epochs = Field(default=10, description="passes after the last growth step")
    best_updates: bool = Field(
        default=False,
        description="after each insertion, take the closed-form best update of the existing weights",
    )
    rewind: RewindSpec | None = Field(default=None, description="smaller steps, and steps taken back")
    checkpoint: CheckpointSpec = CheckpointSpec()

    @model_validator(mode="after")
    def _one_sets_the_rate(self) -> TrainingSpec:
        if self.scheduler is not None and self.rewind is not None:
            raise ValueError("'scheduler' and 'rewind' both set the learning rate: leave one of them out")
        return self


class BudgetSpec(SpecPart):
    """Where growth ends."""

    parameters: Count = Field(default=20_000, description="the network never has more parameters than this")
    multiply_adds: Count | None = Field(default=None, description="multiply-adds of one sample, likewise")
    steps: Epochs = Field(default=20, description="growth steps at most")


def _number_or_auto(value: Any) -> Any:
    if isinstance(value, str) and value != "auto":
        raise PydanticCustomError("auto", "give a number or 'auto', not {value}", {"value": repr(value)})
    return value


def _one_or_more(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else (value,)


def _shorter(value: tuple[Any, ...]) -> Any:
    return value[0] if len(value) == 1 else value


def _several(kind: str) -> tuple[Any, ...]:
    """One entry or a list of them, in files; always a tuple here."""
    schema = {"anyOf": [{"type": kind}, {"type": "array", "items": {"type": kind}, "minItems": 1}]}
    return (BeforeValidator(_one_or_more), Field(min_length=1), PlainSerializer(_shorter), WithJsonSchema(schema))


class NewNodeSpec(SpecPart):
    """What new nodes and edges are like; of a list, each is tried."""

    activation: Annotated[tuple[Annotated[str, one_of(ACTIVATIONS, "activation")], ...], *_several("string")] = Field(
        default=("selu",), description="of new nodes"
    )
    norm: Annotated[tuple[Annotated[str, one_of(("none", *NORMS), "norm")], ...], *_several("string")] = Field(
        default=("none",), description="of new nodes"
    )
    kernel: Annotated[tuple[Annotated[int, Field(ge=1, le=63)], ...], *_several("integer")] = Field(
        default=(3,), description="height and width of new convolutions"
    )

    @property
    def combinations(self) -> tuple[tuple[str, str, int], ...]:
        """Every activation, norm and kernel together."""
        return tuple(itertools.product(self.activation, self.norm, self.kernel))


class GrowthSpec(SpecPart):
    """How the network grows."""

    method: Annotated[str, one_of(METHODS, "method")] = "tiny"
    completion: Annotated[str, one_of(COMPLETIONS, "completion")] = "nonlinear"
    noise: Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)] = Field(
        default=0.01, description="on the fan-in of copied neurons, relative to their own; 0 keeps the function exactly"
    )
    candidates: tuple[Kind, ...] = Field(default=("widen",), min_length=1, description="which kinds of insertion")
    where: Where = Field(default="gain", description="which candidate is the best")
    schedule: Schedule = Field(default="epochs", description="when growth steps come")
    plateau: float = Field(
        default=0.01, ge=0.0, lt=1.0, description="relative fall of the training loss that counts, with 'plateau'"
    )
    scope: Scope = Field(default="best", description="the best place, one in turn, or all of them in a row")
    nodes: tuple[str, ...] | None = Field(default=None, description="the only nodes that may grow; all if left out")
    neurons: Annotated[int, Field(ge=1, le=100_000)] = Field(default=4, description="new neurons per step, at most")
    shrinkage: Annotated[
        Literal["auto"] | Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)],
        BeforeValidator(_number_or_auto),
    ] = Field(
        default="auto",
        description="ridge on the metric, relative to its mean diagonal; 0 is the papers' method",
    )
    insert: Insert = Field(
        default="amplitude",
        description="amplitude: at the measured optimum; silent: fan-out 0, training does the rest; "
        "random_direction: random weights of the same norms",
    )
    fan_out: Literal["full", "pointwise"] = Field(
        default="full", description="fan-out of a new channel: the whole kernel, or its centre"
    )
    samples: Annotated[Literal["auto"] | Count, BeforeValidator(_number_or_auto)] = Field(
        default="auto", description="samples for the statistics; auto is the thesis' rule (S W)^2 / P"
    )
    held_out: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="share of these samples that chooses shrinkage and amplitude"
    )
    significance: Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)] = Field(
        default=1.0, description="singular values must exceed this multiple of their noise level; 0 keeps all"
    )
    price: Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)] = Field(
        default=0.0, description="of a parameter, in units of the loss: what gains less than it costs is not inserted"
    )
    patience: Count = Field(default=3, description="growth steps in a row without gain before growth ends")
    units: UnitsSpec | None = Field(default=None, description="units added while training, unmeasured")
    new_node: NewNodeSpec = NewNodeSpec()
    keep: tuple[Count, Count] = Field(
        default=(16, 8),
        description="places that are solved where pairs of nodes are among them, and candidates searched to the end",
    )
    removal: float | None = Field(
        default=None,
        ge=0.0,
        le=1e12,
        allow_inf_nan=False,
        description="after each insertion, remove the edge or node that the loss misses least, up to so much",
    )
    calibrate: bool = Field(
        default=False,
        description="after each insertion, train a copy, and one that did not grow, to see what it was worth later",
    )
    warm_up: Epochs = Field(default=0, description="gradient steps in which the learning rate of new weights rises")
    budget: BudgetSpec = BudgetSpec()

    @model_validator(mode="after")
    def _method_fits_candidates(self) -> GrowthSpec:
        method = METHODS[self.method]
        if "node" in self.candidates and not method.fills:
            raise ValueError(
                f"method '{self.method}' copies neurons that are there, and a new node has none: "
                "leave 'node' out of the candidates"
            )
        bent = [name for name in self.new_node.activation if ACTIVATIONS[name].line == "small"]
        if "layer" in self.candidates and method.deepens and bent:
            raise ValueError(
                f"method '{self.method}' puts in layers that keep the function exactly, "
                f"which new_node activation '{bent[0]}' cannot"
            )
        return self


class RunSpec(SpecFile):
    """A whole run file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")] = "run"
    graph: GraphSpec
    data: DataSpec = DataSpec(dataset="digits")
    training: TrainingSpec = TrainingSpec()
    growth: GrowthSpec = GrowthSpec()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
