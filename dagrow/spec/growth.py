"""How a run grows: what may be inserted, where, when, and until when."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from dagrow.errors import listed
from dagrow.methods import FALLBACK_METHODS, METHODS, NOISE_LEVELS, NORMALISATIONS
from dagrow.ops import ACTIVATIONS, NORMS
from dagrow.registry import one_of, registry
from dagrow.spec.amplitude import AmplitudeSpec
from dagrow.spec.graph import SpecPart
from dagrow.spec.nonparametric import ContinuousGrowthSpec

Count = Annotated[int, Field(ge=1, le=2**40)]
Epochs = Annotated[int, Field(ge=0, le=10**6)]

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


def number_or_auto(value: Any) -> Any:
    """Refuses text other than 'auto'."""
    if isinstance(value, str) and value != "auto":
        raise PydanticCustomError("auto", "give a number or 'auto', not {value}", {"value": repr(value)})
    return value


def _one_or_more(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else (value,)


def _shorter(value: tuple[Any, ...]) -> Any:
    return value[0] if len(value) == 1 else value


class _OneOrMore:
    """In the schema of a list, that an entry may stand for a list of one."""

    @staticmethod
    def __get_pydantic_json_schema__(core: Any, handler: GetJsonSchemaHandler) -> Any:
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


def _as_amplitudes(value: Any) -> Any:
    """What ``with_update: true`` and ``false`` mean."""
    return {True: "two_amplitudes", False: "none"}[value] if isinstance(value, bool) else value


_SEVERAL = (Field(min_length=1), BeforeValidator(_one_or_more), PlainSerializer(_shorter), _OneOrMore)
"""One entry or a list of them, in files; always a tuple here."""


class NewNodeSpec(SpecPart):
    """What new nodes and edges are like; of a list, each is tried."""

    activation: Annotated[tuple[Annotated[str, one_of(ACTIVATIONS)], ...], *_SEVERAL] = Field(
        default=("selu",), description="of new nodes; those of a node"
    )
    norm: Annotated[tuple[Annotated[str, one_of(NORMS, also=("none",))], ...], *_SEVERAL] = Field(
        default=("none",), description="of new nodes; those of a node"
    )
    kernel: Annotated[tuple[Annotated[int, Field(ge=1, le=63)], ...], *_SEVERAL] = Field(
        default=(3,), description="height and width of new convolutions; from 1 to 63"
    )

    @property
    def combinations(self) -> tuple[tuple[str, str, int], ...]:
        """Every activation, norm and kernel together."""
        return tuple(itertools.product(self.activation, self.norm, self.kernel))


class TrialTrainingSpec(SpecPart):
    """A short training of several candidates, each in a copy of the network, which decides between them."""

    candidates: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=3, description="how many at most: the best of each kind, then the next best of each"
    )
    steps: Count | None = Field(
        default=None,
        description="gradient steps that they train for; as many as between growth steps, at least a pass, if left out",
    )


class ProposalSettings(SpecPart):
    """What a growth step looks for and how it measures it: the same in a run file and for `dagrow.propose`."""

    method: Annotated[str, one_of(METHODS)] = Field(
        default="tiny",
        description=(
            "how new neurons are made, see docs/explanation/methods.md: `tiny` solves for those that remove "
            "most of the expressivity bottleneck; `nonlinear` searches for the same on samples; `gradmax` "
            "takes fan-outs that make the new weights learn fastest; `north_weights` and `north_activations`"
            " draw what no existing neuron sees; `firefly` takes the best of new neurons, splits and new "
            "edges within a small bound; `net2net` copies neurons; `folding` bends a relu classifier where "
            "it makes its typical mistake (docs/explanation/folding.md), `folding_free` by a crease of any "
            "angle; `random` draws them, as a control; "
            "`random_zero_fan_out` draws fan-ins and leaves the rest to training"
        ),
    )
    fallback_method: Annotated[str, one_of(FALLBACK_METHODS, what="fallback method")] = Field(
        default="nonlinear", description="what makes neurons where `tiny` finds none"
    )
    copy_noise: Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)] = Field(
        default=0.01,
        description=(
            "on the fan-in of neurons that are copies (`net2net`), relative to their own; with 0 the "
            "function stays exactly as it is, and the copies stay equal"
        ),
    )
    candidates: tuple[str, ...] = Field(
        default=("widen",),
        description=(
            "which changes are considered: `widen` (more features at a node), `edge` (between any two nodes that "
            "have none), `node` (between any two nodes, or several, beside what is there), `layer` (an edge "
            "becomes a node that keeps its function, with new neurons in it); `update` (the weights into a node move "
            "by their best update, and nothing is added: update or grow, whichever gains more)"
        ),
    )
    where: str = Field(
        default="gain",
        description=(
            "which candidate is taken: largest drop of the loss (`gain`), that per new parameter or per "
            "multiply-add, largest singular value (`singular_value`), or each place in turn (`round_robin`). As "
            "controls: the smallest drop among those that gain (`smallest_gain`), or one of them by lot "
            "(`random`). Of those that agree up to rounding, the one with fewer parameters, then the kind in"
            " the order widen, edge, node, layer, update, remove, then the first place"
        ),
    )
    nodes: tuple[str, ...] | None = Field(
        default=None, description="the only nodes that may grow; all that can if left out"
    )
    neurons: Annotated[int, Field(ge=1, le=100_000)] = Field(default=4, description="new neurons per step, at most")
    shrinkage: Annotated[
        Literal["auto"] | Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)],
        BeforeValidator(number_or_auto),
    ] = Field(
        default="auto",
        description=(
            "caution against directions in which the inputs hardly vary: what is added to the metric's "
            "diagonal, relative to the mean square of the features of one input or node. `auto` tries 0 to "
            "100, for searches on samples 0.1 to 10, and lets held-out samples choose; such searches shrink "
            "the update of existing weights that goes with the neurons likewise, by 0.1 at most"
        ),
    )
    with_update: Annotated[Literal["none", "one_amplitude", "two_amplitudes"], BeforeValidator(_as_amplitudes)] = Field(
        default="none",
        description=(
            "whether new neurons bring along the best updates of all nodes that read them: at one amplitude with the "
            "neurons (`one_amplitude`, thesis eq. 3.23), or at one of their own, both searched together "
            "(`two_amplitudes`; `true` is read as this). Only neurons whose amplitude is searched do, not those of "
            "`gradmax`, `firefly` and the like; those of `nonlinear` bring an update of their own"
        ),
    )
    normalisation: Annotated[str, one_of(NORMALISATIONS)] = Field(
        default="unit_lengths",
        description=(
            "what amplitude 1 of new neurons is: fan-ins and fan-outs with a root mean square length of 1 "
            "(`unit_lengths`, thesis eq. 4.17), an effect as large as what the nodes that read them merge already "
            "(`relative_effect`, TINY appendix D.4), or what the method made (`as_made`). `fixed_lengths` searches no "
            "amplitude: both sides enter with a root mean square length of the root of 0.001, those of `gradmax` "
            "with fan-outs of 0.001 (thesis D.4.2). How an amplitude is shared out between the sides, and what "
            "`amplitude` says, depend on it; the gain at the best amplitude hardly does"
        ),
    )
    amplitude: AmplitudeSpec = Field(
        default=AmplitudeSpec(), description="which amplitudes of what is inserted are tried, where one is searched"
    )
    update_amplitude: AmplitudeSpec = Field(
        default=AmplitudeSpec(),
        description="likewise of updates of existing weights (`update`, `two_amplitudes`, `closed_form_updates`), in "
        "multiples of the best update",
    )
    fan_out: Literal["full", "pointwise"] = Field(
        default="full",
        description="of new convolution channels: the whole kernel of the next layer, or only its centre",
    )
    held_out: float = Field(
        default=0.2,
        ge=0.0,
        lt=1.0,
        description=(
            "share of these samples that is kept from the statistics, to choose shrinkage and amplitude; the"
            " gain that candidates are ranked by is measured there"
        ),
    )
    significance: Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)] = Field(
        default=1.0,
        description=(
            "a neuron counts if its singular value exceeds this multiple of what noise alone would give; 0 keeps all"
        ),
    )
    noise_level: Annotated[str, one_of(NOISE_LEVELS)] = Field(
        default="mean_deviation",
        description=(
            "what noise alone would give, for `tiny`, from draws with a random sign on each sample: mean and two "
            "standard deviations of eight draws (`mean_deviation`), the largest of nineteen (`quantile`: a false alarm "
            "in one of twenty looks), or the 95th percentile by the law of Marchenko and Pastur for the covariance "
            "that eight draws show (`marchenko_pastur`)"
        ),
    )
    keep_below_noise: bool = Field(
        default=True,
        description=(
            "where the best neuron stands out of the noise, make all that were asked for: training will see "
            "to the others. Without training, `false`"
        ),
    )
    min_gain_per_parameter: Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)] = Field(
        default=0.0,
        description=(
            "of a parameter, in units of the loss: what gains less than its new parameters cost is not "
            "inserted, and growth ends by `patience` when nothing is worth its price any more"
        ),
    )
    new_node: NewNodeSpec = Field(default=NewNodeSpec(), description="what new nodes and edges are like")
    max_solved: Count = Field(
        default=16,
        description=(
            "where new edges, nodes or layers are candidates: how many places are solved, after a cheap bound; "
            "where they are not, how many nodes to widen have a first look at their amplitudes, by their slope"
        ),
    )
    max_searched: Count = Field(
        default=8, description="how many candidates have their amplitude searched to the end, after a first look"
    )
    max_width: Count | None = Field(
        default=None, description="features that no node is widened beyond; it is full then, and growth goes elsewhere"
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
