"""What a run is: graph, data, training, growth, seed. A section left out takes the defaults below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from dagrow.objectives import LOSSES, OPTIMIZERS, SCHEDULERS
from dagrow.registry import one_of
from dagrow.spec.adaptive import with_adaptive_defaults
from dagrow.spec.data import DataSpec, default_data
from dagrow.spec.fields import Count, Epochs, number_or_auto
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.graph import GraphSpec, SpecFile, SpecPart
from dagrow.spec.growth import GrowthSpec
from dagrow.spec.loggers import Loggers
from dagrow.spec.nonparametric import AnnealSpec, PenaltySpec
from dagrow.spec.options import NamedClass
from dagrow.spec.renamed import renamed_run

PositiveNumber = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]
Dtype = Literal["float32", "float64"]
Precision = Literal["full", "bfloat16"]


class OptimizerSpec(NamedClass):
    """The optimizer: its name, and any option of its ``torch.optim`` class."""

    classes: ClassVar[Mapping[str, Any]] = OPTIMIZERS
    own: ClassVar[frozenset[str]] = frozenset({"params", "lr"})

    name: Annotated[str, one_of(OPTIMIZERS)] = Field(
        default="adam",
        description=(
            "its class in `torch.optim`; `adarad` and `adarad_m` are those of docs/explanation/nonparametric.md"
        ),
    )
    lr: float = Field(
        default=0.001,
        gt=0.0,
        le=1e6,
        allow_inf_nan=False,
        description="learning rate; of `adarad` and `adarad_m` the angular one",
    )
    options: FrozenDict[str, float | int | bool | tuple[float, float]] = Field(
        default=FrozenDict(),
        description="further options of that class, by their names there. They may also stand beside `lr`: `{name: "
        "sgd, lr: 0.1, momentum: 0.9}`",
    )


class SchedulerSpec(NamedClass):
    """The learning rate over time: a name, and any option of its ``torch.optim.lr_scheduler`` class."""

    classes: ClassVar[Mapping[str, Any]] = SCHEDULERS
    own: ClassVar[frozenset[str]] = frozenset({"optimizer", "last_epoch", "mode", "threshold_mode"})

    name: Annotated[str, one_of(SCHEDULERS)] = Field(description="its class in `torch.optim.lr_scheduler`")
    options: FrozenDict[str, float | int | bool | tuple[int, ...]] = Field(
        default=FrozenDict(),
        description="options of that class, by their names there. They may also stand beside the name: `{name: "
        "cosine, T_max: 40}`",
    )

    @classmethod
    def called(cls, entry: Any) -> Any:
        """The class of the scheduler."""
        return entry.kind


class CheckpointSpec(SpecPart):
    """How often a run is kept, so that it can be continued; whichever of the two is reached first."""

    seconds: float = Field(
        default=30.0,
        ge=0.0,
        le=1e9,
        allow_inf_nan=False,
        description="time since it was last kept; 0 keeps it after every pass",
    )
    epochs: Count | None = Field(default=None, description="passes since it was last kept")
    steps: bool = Field(
        default=True,
        description="whether the state after each growth step stays, so that `dagrow revert` can go back to it: "
        "docs/how-to/journal.md",
    )


class TrainingSpec(SpecPart):
    """How weights are trained between and after insertions."""

    loss: Annotated[str, one_of(LOSSES)] = Field(
        default="cross_entropy",
        description=(
            "what is minimised: `cross_entropy` for classes numbered from 0 (one output feature per class; "
            "an output of maps takes a class per pixel), `mse` for numbers (targets in the shape of the "
            "output), `binary_cross_entropy` for yes or no (one output feature per question, as a logit, "
            "targets 0 to 1)"
        ),
    )
    custom_loss: str | None = Field(
        default=None,
        max_length=80,
        description="name of the loss that was given to dagrow.grow in Python; 'loss' says how it takes targets",
    )
    class_weights: Literal["balanced"] | FrozenDict[str, PositiveNumber] | None = Field(
        default=None,
        description="weights of the classes in the loss; balanced: such that every class counts alike",
    )
    initial_weights: Annotated[str, one_of("initial weights")] = Field(
        default="torch",
        description="that the run starts from: as torch starts each layer (`torch`), or normal fan-ins of expected "
        "squared length 1 over all edges into a unit, biases 0 (`unit_fan_ins`, docs/explanation/nonparametric.md)",
    )
    optimizer: OptimizerSpec = Field(default=OptimizerSpec(), description="what makes the gradient steps")
    penalty: PenaltySpec | None = Field(
        default=None,
        description=(
            "shrinks the fan-in or the fan-out of units after each gradient step: docs/explanation/nonparametric.md"
        ),
    )
    scheduler: SchedulerSpec | None = Field(
        default=None,
        description="what sets the learning rate, pass by pass; it stays as it is if left out. Not with `anneal`",
    )
    ema_decay: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        allow_inf_nan=False,
        description="the run ends with the moving average of the weights (EMA), of which each gradient step keeps "
        "this part; growth is measured on the weights themselves, and the average grows along",
    )
    dtype: Dtype = Field(
        default="float32",
        description="numbers that the network computes with. With `float64`, runs that differ by nothing but the "
        "order of additions (more processes, another machine) stay together for much longer, see "
        "docs/how-to/training.md; exported networks are float32 in any case",
    )
    precision: Precision = Field(
        default="full",
        description="bfloat16: forward passes of gradient descent run under autocast; scores and growth never do",
    )
    batch_size: Annotated[Literal["auto"] | Count, BeforeValidator(number_or_auto)] = Field(
        default=128,
        description="samples per gradient step; `auto` is a power of 2 near a sixteenth of the training set, from 16 "
        "to 128. From 2 with a `batch` or `cap_batch` norm on vectors",
    )
    scale_batch_size: bool = Field(
        default=False, description="samples per gradient step grow with the square root of the number of parameters"
    )
    epochs_between_growth: Epochs = Field(
        default=1, description="passes over the training set before each growth step; see `growth.schedule`"
    )
    accumulate: Annotated[int, Field(ge=1, le=10**6)] = Field(
        default=1, description="parts in which each batch is computed, their gradients added up: less memory"
    )
    clip_norm: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="largest norm of the gradient of all weights together; longer ones are scaled down to it",
    )
    steps_between_growth: Count = Field(
        default=100,
        description="gradient steps before each growth step, with `schedule: steps`; with `auto`, that a pass "
        "between growth steps has at most",
    )
    final_epochs: Epochs = Field(default=10, description="passes after the last growth step")
    closed_form_updates: bool = Field(
        default=False,
        description="after each insertion, take the closed-form best update of the existing weights of every layer "
        "in turn, each measured first",
    )
    validation_fraction: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        allow_inf_nan=False,
        description="share of the training samples that neither training nor growth sees; the run ends with the "
        "network, graph and weights, that made the fewest errors on them after any pass or growth step, "
        "of equal ones that of the lowest loss. Not with `anneal`",
    )
    weight_decay: Literal["auto"] | None = Field(
        default=None,
        description="`auto` sets the weight decay of the optimizer (`adamw`, `sgd`, ...) to 700 / samples, 1 at "
        "most: like the weight of a prior, it falls with the number of training samples. Left out, it is "
        "an option of the optimizer",
    )
    standardize_targets: bool = Field(
        default=False,
        description="train a regression (`mse`) in units of its targets' deviation, and begin with classes at their "
        "shares; losses, and the network that is handed back, are in the user's units all the same",
    )
    anneal: AnnealSpec | None = Field(
        default=None,
        description="ends training by smaller and smaller steps, and takes passes back that did not help: "
        "docs/explanation/nonparametric.md",
    )
    checkpoint: CheckpointSpec = Field(
        default=CheckpointSpec(),
        description="how often the run is kept, so that it can be continued: docs/how-to/resume.md",
    )
    loggers: Loggers = Field(default=(), description="where losses, scores and growth steps are logged besides")

    @model_validator(mode="after")
    def _one_of_each(self) -> TrainingSpec:
        if self.scheduler is not None and self.anneal is not None:
            raise ValueError("'scheduler' and 'anneal' both set the learning rate: leave one of them out")
        if self.validation_fraction is not None and self.anneal is not None:
            raise ValueError("'anneal' goes back to the best on samples of its own: leave 'validation_fraction' out")
        if self.precision != "full" and self.dtype != "float32":
            raise ValueError(f"'precision: {self.precision}' needs 'dtype: float32', not {self.dtype}")
        return self


class RunSpec(SpecFile):
    """A whole run file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")] = Field(
        default="run",
        description=(
            "names the run directory (`runs/NAME`) and the exported class; a letter or digit, then letters, "
            "digits, `_`, `.`, `-`, 80 at most"
        ),
    )
    graph: GraphSpec = Field(description="the network to start from")
    data: DataSpec = Field(default_factory=default_data, description="the samples")
    training: TrainingSpec = Field(default=TrainingSpec(), description="gradient descent")
    growth: GrowthSpec = Field(default=GrowthSpec(), description="insertions")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        default=0,
        description=(
            "of the first weights, the order of samples, the split and methods that draw; the same seed "
            "gives the same run"
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _adaptive_defaults(cls, value: Any) -> Any:
        return with_adaptive_defaults(renamed_run(value))
