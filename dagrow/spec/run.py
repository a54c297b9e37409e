"""What a run is: graph, data, training, growth, seed. A section left out takes the defaults below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from dagrow.errors import listed
from dagrow.objectives import LOSSES, OPTIMIZERS, SCHEDULERS
from dagrow.spec.adaptive import with_adaptive_defaults
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.graph import GraphSpec, SpecFile, SpecPart, one_of
from dagrow.spec.growth import Count, Epochs, GrowthSpec, number_or_auto
from dagrow.spec.loggers import Loggers
from dagrow.spec.nonparametric import PenaltySpec, RewindSpec
from dagrow.spec.options import NamedClass

Dtype = Literal["float32", "float64"]
Precision = Literal["full", "bfloat16"]

DATASETS = ("digits", "wine", "breast_cancer", "iris", "diabetes")
"""The named data sets; `dagrow.data` reads each of them."""


class DataSpec(SpecPart):
    """Where samples come from: exactly one of ``dataset``, ``npz`` and ``csv``."""

    dataset: str | None = Field(default=None, description="a named data set that scikit-learn carries")
    npz: str | None = Field(default=None, description="file with x_train, y_train, x_test, y_test")
    csv: str | None = Field(default=None, description="table with a header line; 'target' names the column to learn")
    target: str | None = Field(default=None, description="column of the csv to learn")
    in_memory: bool | None = Field(
        default=None, description="the samples were given to dagrow.grow in Python, and have to be given again"
    )
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
        if isinstance(value, dict) and not value.keys() & {"dataset", "npz", "csv", "in_memory"}:
            return {"dataset": "digits", **value}
        return value

    @model_validator(mode="after")
    def _one_source(self) -> DataSpec:
        given = [name for name in ("dataset", "npz", "csv", "in_memory") if getattr(self, name) is not None]
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
    custom_loss: str | None = Field(
        default=None,
        max_length=80,
        description="name of the loss that was given to dagrow.grow in Python; 'loss' says how it takes targets",
    )
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
    precision: Precision = Field(
        default="full",
        description="bfloat16: forward passes of gradient descent run under autocast; scores and growth never do",
    )
    batch_size: Annotated[Literal["auto"] | Count, BeforeValidator(number_or_auto)] = Field(
        default=128, description="samples per gradient step; auto: a sixteenth of the training set, 16 to 128"
    )
    batch_size_grows: bool = Field(default=False, description="with the root of the number of parameters")
    accumulate: Annotated[int, Field(ge=1, le=10**6)] = Field(
        default=1, description="parts in which each batch is computed, their gradients added up: less memory"
    )
    clip_norm: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="largest norm of the gradient of all weights together; longer ones are scaled down to it",
    )
    epochs_between_growth: Epochs = Field(default=1, description="passes before each growth step")
    steps_between_growth: Count = Field(
        default=100,
        description="gradient steps before each growth step, with the schedule 'steps'; with 'auto', of a pass at most",
    )
    final_epochs: Epochs = Field(default=10, description="passes after the last growth step")
    best_updates: bool = Field(
        default=False,
        description="after each insertion, take the closed-form best update of the existing weights",
    )
    validation: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        allow_inf_nan=False,
        description="share of the training samples kept back; the run ends with the network that was best on them",
    )
    weight_decay: Literal["auto"] | None = Field(
        default=None,
        description="auto: the optimizer's weight decay is 700 / samples, 1 at most; left out, its own option",
    )
    standardize_targets: bool = Field(
        default=False,
        description="train a regression (mse) in units of its targets' deviation, begin with classes at their shares; "
        "the network that is handed back speaks the user's units",
    )
    rewind: RewindSpec | None = Field(default=None, description="smaller steps, and steps taken back")
    checkpoint: CheckpointSpec = CheckpointSpec()
    loggers: Loggers = Field(default=(), description="where losses, scores and growth steps are logged besides")

    @model_validator(mode="after")
    def _one_of_each(self) -> TrainingSpec:
        if self.scheduler is not None and self.rewind is not None:
            raise ValueError("'scheduler' and 'rewind' both set the learning rate: leave one of them out")
        if self.validation is not None and self.rewind is not None:
            raise ValueError("'rewind' goes back to the best on samples of its own: leave 'validation' out")
        if self.precision != "full" and self.dtype != "float32":
            raise ValueError(f"'precision: {self.precision}' needs 'dtype: float32', not {self.dtype}")
        return self


class RunSpec(SpecFile):
    """A whole run file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")] = "run"
    graph: GraphSpec
    data: DataSpec = DataSpec(dataset="digits")
    training: TrainingSpec = TrainingSpec()
    growth: GrowthSpec = GrowthSpec()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="before")
    @classmethod
    def _adaptive_defaults(cls, value: Any) -> Any:
        return with_adaptive_defaults(value)
