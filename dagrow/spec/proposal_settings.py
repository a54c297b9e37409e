"""What a growth step looks for and how it measures it: in a run file, and for `dagrow.propose`."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
)

from dagrow.methods import FALLBACK_METHODS, METHODS, NOISE_LEVELS, NORMALISATIONS
from dagrow.ops import ACTIVATIONS, NORMS
from dagrow.registry import one_of
from dagrow.spec.amplitude import AmplitudeSpec
from dagrow.spec.fields import SEVERAL, Count, number_or_auto
from dagrow.spec.graph import SpecPart


def _as_amplitudes(value: Any) -> Any:
    """What ``with_update: true`` and ``false`` mean."""
    return {True: "two_amplitudes", False: "none"}[value] if isinstance(value, bool) else value


class NewNodeSpec(SpecPart):
    """What new nodes and edges are like; of a list, each is tried."""

    activation: Annotated[tuple[Annotated[str, one_of(ACTIVATIONS)], ...], *SEVERAL] = Field(
        default=("selu",), description="of new nodes; those of a node"
    )
    norm: Annotated[tuple[Annotated[str, one_of(NORMS, also=("none",))], ...], *SEVERAL] = Field(
        default=("none",), description="of new nodes; those of a node"
    )
    kernel: Annotated[tuple[Annotated[int, Field(ge=1, le=63)], ...], *SEVERAL] = Field(
        default=(3,), description="height and width of new convolutions; from 1 to 63"
    )

    @property
    def combinations(self) -> tuple[tuple[str, str, int], ...]:
        """Every activation, norm and kernel together."""
        return tuple(itertools.product(self.activation, self.norm, self.kernel))


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
