"""How a run grows: what may be inserted, where, when, and until when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    model_validator,
)

from dagrow.errors import listed
from dagrow.methods import METHODS
from dagrow.ops import ACTIVATIONS
from dagrow.registry import one_of, registry
from dagrow.spec.fields import Count, Epochs, number_or_auto
from dagrow.spec.graph import SpecPart
from dagrow.spec.nonparametric import ContinuousGrowthSpec
from dagrow.spec.proposal_settings import ProposalSettings

# Names of entries that parts above this one register.
Where = Annotated[str, one_of("strategy")]
Schedule = Annotated[str, one_of("schedule")]
Scope = Annotated[str, one_of("scope")]
Insert = Annotated[str, one_of("insert", also=("auto",))]
Kind = Annotated[str, one_of("kind of candidate", only=lambda kind: kind.grows or kind.rivals_growth)]


class BudgetSpec(SpecPart):
    """Where growth ends."""

    parameters: Count = Field(default=20_000, description="the network never grows beyond so many parameters")
    macs: Count | None = Field(default=None, description="likewise for MACs (multiply-adds) of one sample")
    steps: Epochs = Field(default=20, description="growth steps, at most; 0 trains without growing")


class TrialTrainingSpec(SpecPart):
    """A short training of several candidates, each in a copy of the network, which decides between them."""

    candidates: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=3, description="how many at most: the best of each kind, then the next best of each"
    )
    steps: Count | None = Field(
        default=None,
        description="gradient steps that they train for; as many as between growth steps, at least a pass, if left out",
    )


class GrowthSpec(ProposalSettings):
    """How the network grows."""

    candidates: tuple[Kind, ...] = Field(
        default=("widen",),
        min_length=1,
        description=(
            "which changes are considered: `widen` (more features at a node), `edge` (between any two nodes that "
            "have none), `node` (between any two nodes, or several, beside what is there), `layer` (an edge "
            "becomes a node that keeps its function, with new neurons in it); `update` (the weights into a node move "
            "by their best update, and nothing is added: update or grow, whichever gains more)"
        ),
    )
    where: Where = Field(
        default="gain",
        description=(
            "which candidate is taken: largest drop of the loss (`gain`), that per new parameter or per "
            "multiply-add, largest singular value (`singular_value`), or each place in turn (`round_robin`). As "
            "controls: the smallest drop among those that gain (`smallest_gain`), or one of them by lot "
            "(`random`). Of those that agree up to rounding, the one with fewer parameters, then the kind in"
            " the order widen, edge, node, layer, update, remove, then the first place"
        ),
    )
    schedule: Schedule = Field(
        default="auto",
        description="when growth steps come: after `epochs_between_growth` passes (`epochs`), or that many parts of "
        "a pass, of `steps_between_growth` gradient steps, where a pass has more and no "
        "`continuous_growth` is given (`auto`), after `steps_between_growth` gradient steps (`steps`), or after "
        "`epochs_between_growth` passes in a row that did not bring down the training loss (`plateau`) "
        "or the loss on the samples that `training.validation_fraction` keeps back (`validation`: growth comes "
        "when over-fitting begins). `adaptive`: by validation throughout, see "
        "docs/reference/run-file.md#growth-by-validation. `auto` is `adaptive` where the file sets no "
        "timetable",
    )
    plateau: float = Field(
        default=0.01,
        ge=0.0,
        lt=1.0,
        description="by what share the loss must fall below its lowest since the last growth step, for a pass to "
        "count as progress",
    )
    scope: Scope = Field(
        default="best",
        description="what a growth step is about: the best place of all, as `where` has it (`best`); the next place "
        "in the order of the graph (`round_robin`); each place, one growth step after the other without "
        "training in between (`every_node`). `patience` counts rounds then",
    )
    insertions_per_step: Count = Field(
        default=1,
        description="growth steps that follow each other without training in between, each about what the one before "
        "has made of the network: `neurons: 1` with `insertions_per_step: 8` gives eight neurons to whichever "
        "places gain most, one at a time",
    )
    nodes: tuple[str, ...] | None = Field(
        default=None, description="the only nodes that may grow; all that can if left out"
    )
    share: float = Field(
        default=0.0,
        ge=0.0,
        le=100.0,
        description="new neurons per step relative to the width that is there, where that is more than `neurons`",
    )
    insert: Insert = Field(
        default="auto",
        description="`amplitude`: at the measured optimum, the gain is there at once. `zero_fan_out_unscaled`: the "
        "same fan-in and a fan-out of 0, nothing jumps and training does the rest. `auto`: that for networks of "
        "vectors where 100 gradient steps or more come before the next growth step; `amplitude` for "
        "networks with maps or tokens, where fewer do, or `closed_form_updates`, or the next step of a row, "
        "where `prune_tolerance` or a `penalty` would remove neurons without fan-out, where updates come along "
        "(`with_update`), and for what enters as its method made it (`gradmax`, `firefly`, ...). `zero_fan_out`: "
        "likewise, with fan-ins of such a length that new pre-activations have a root mean square between 0.5 and 2",
    )
    random_weights: bool = Field(
        default=False, description="as a control: in place of the computed weights, random ones of the same norms"
    )
    samples: Annotated[Literal["auto"] | Count, BeforeValidator(number_or_auto)] = Field(
        default="auto",
        description="training samples that each step looks at, drawn anew each time. `auto` is the square of the "
        "features that a new neuron reads over the positions that share its weights, as far as a growth "
        "step can keep all values in memory (512 MB), and at least 4000",
    )
    patience: Count = Field(
        default=3,
        description=(
            "growth steps in a row without gain before growth ends; without training in between, the first "
            "such step ends it. A step that takes an `update` is one of them unless an insertion would have gained, "
            "too; what follows it sees another network, so that the first does not end growth"
        ),
    )
    continuous_growth: ContinuousGrowthSpec | None = Field(
        default=None,
        description="units that every node gets while training, unmeasured: docs/explanation/nonparametric.md",
    )
    prune_tolerance: float | None = Field(
        default=None,
        ge=0.0,
        le=1e12,
        allow_inf_nan=False,
        description="after each insertion, the edge or node that the loss misses least is taken away, if the loss "
        "rises by so much at most; nothing is if left out",
    )
    trial_training: TrialTrainingSpec | None = Field(
        default=None,
        description="before each insertion, copies of the network train with one of the best candidates each, and "
        "what has gained most by then is inserted. With `where` `gain`, `gain_per_parameter` or "
        "`gain_per_mac`",
    )
    measure_later_gain: bool = Field(
        default=False,
        description="after each insertion, a copy of the network and a twin that did not grow train side by side, as "
        "long as the run does between growth steps: the journal and `dagrow log` tell what the insertion "
        "was worth by then. The run itself is not changed",
    )
    warm_up: Epochs = Field(
        default=0,
        description="gradient steps in which the learning rate of new weights rises from 0; old ones keep theirs",
    )
    budget: BudgetSpec = Field(default=BudgetSpec(), description="where growth ends")

    @model_validator(mode="after")
    def _fits_together(self) -> GrowthSpec:
        method = METHODS[self.method]
        if "node" in self.candidates and not method.supports_empty_node:
            raise ValueError(
                f"method '{self.method}' copies neurons that are there, and a new node has none: "
                "leave 'node' out of the candidates"
            )
        bent = [name for name in self.new_node.activation if ACTIVATIONS[name].line == "small"]
        if "layer" in self.candidates and method.supports_identity_layer and bent:
            raise ValueError(
                f"method '{self.method}' puts in layers that keep the function exactly, "
                f"which new_node activation '{bent[0]}' cannot"
            )
        if self.with_update != "none" and self.insert.startswith("zero_fan_out"):
            raise ValueError(
                f"'with_update' moves weights, which 'insert: {self.insert}' leaves as they are: "
                "insert must be auto or amplitude"
            )
        if self.trial_training is not None and not registry("strategy")[self.where].by_gain:
            strategies = registry("strategy")
            fit = listed(name for name, strategy in strategies.items() if strategy.by_gain)
            raise ValueError(f"'trial_training' chooses by what was gained: 'where' must be {fit}")
        return self
