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
from dagrow.methods import COMPLETIONS, METHODS
from dagrow.ops import ACTIVATIONS, NORMS
from dagrow.registry import one_of, registry
from dagrow.spec.graph import SpecPart
from dagrow.spec.nonparametric import UnitsSpec

Count = Annotated[int, Field(ge=1, le=2**40)]
Epochs = Annotated[int, Field(ge=0, le=10**6)]

# Names of entries that parts above this one register.
Where = Annotated[str, one_of("strategy")]
Schedule = Annotated[str, one_of("schedule")]
Scope = Annotated[str, one_of("scope")]
Insert = Annotated[str, one_of("insert", also=("auto",))]
Kind = Annotated[str, one_of("kind of candidate", only=lambda kind: kind.grows)]


class BudgetSpec(SpecPart):
    """Where growth ends."""

    parameters: Count = Field(default=20_000, description="the network never has more parameters than this")
    multiply_adds: Count | None = Field(default=None, description="multiply-adds of one sample, likewise")
    steps: Epochs = Field(default=20, description="growth steps at most")


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


_SEVERAL = (Field(min_length=1), BeforeValidator(_one_or_more), PlainSerializer(_shorter), _OneOrMore)
"""One entry or a list of them, in files; always a tuple here."""


class NewNodeSpec(SpecPart):
    """What new nodes and edges are like; of a list, each is tried."""

    activation: Annotated[tuple[Annotated[str, one_of(ACTIVATIONS)], ...], *_SEVERAL] = Field(
        default=("selu",), description="of new nodes"
    )
    norm: Annotated[tuple[Annotated[str, one_of(NORMS, also=("none",))], ...], *_SEVERAL] = Field(
        default=("none",), description="of new nodes"
    )
    kernel: Annotated[tuple[Annotated[int, Field(ge=1, le=63)], ...], *_SEVERAL] = Field(
        default=(3,), description="height and width of new convolutions"
    )

    @property
    def combinations(self) -> tuple[tuple[str, str, int], ...]:
        """Every activation, norm and kernel together."""
        return tuple(itertools.product(self.activation, self.norm, self.kernel))


class TryoutSpec(SpecPart):
    """A short training of several candidates, each in a copy of the network, which decides between them."""

    candidates: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=3, description="how many at most: the best of each kind, then the next best of each"
    )
    steps: Count | None = Field(default=None, description="gradient steps; as many as between growth steps if left out")


class ProposalSettings(SpecPart):
    """What a growth step looks for and how it measures it: the same in a run file and for `dagrow.propose`."""

    method: Annotated[str, one_of(METHODS)] = "tiny"
    completion: Annotated[str, one_of(COMPLETIONS, what="completion")] = "nonlinear"
    noise: Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)] = Field(
        default=0.01, description="on the fan-in of copied neurons, relative to their own; 0 keeps the function exactly"
    )
    candidates: tuple[str, ...] = Field(default=("widen",), description="which kinds of insertion")
    where: str = Field(default="gain", description="which candidate is the best")
    nodes: tuple[str, ...] | None = Field(default=None, description="the only nodes that may grow; all if left out")
    neurons: Annotated[int, Field(ge=1, le=100_000)] = Field(default=4, description="new neurons per step, at most")
    shrinkage: Annotated[
        Literal["auto"] | Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)],
        BeforeValidator(number_or_auto),
    ] = Field(
        default="auto",
        description="ridge on the metric, relative to its mean diagonal; 0 is the papers' method",
    )
    fan_out: Literal["full", "pointwise"] = Field(
        default="full", description="fan-out of a new channel: the whole kernel, or its centre"
    )
    held_out: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="share of these samples that chooses shrinkage and amplitude"
    )
    significance: Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)] = Field(
        default=1.0, description="singular values must exceed this multiple of their noise level; 0 keeps all"
    )
    fill: bool = Field(
        default=True,
        description="where the best singular value stands out, make all neurons asked for, those in the noise too",
    )
    price: Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)] = Field(
        default=0.0, description="of a parameter, in units of the loss: what gains less than it costs is not inserted"
    )
    new_node: NewNodeSpec = NewNodeSpec()
    keep: tuple[Count, Count] = Field(
        default=(16, 8),
        description="places that are solved where pairs of nodes are among them (else, that have a first look), and "
        "candidates searched to the end",
    )


class GrowthSpec(ProposalSettings):
    """How the network grows."""

    candidates: tuple[Kind, ...] = Field(default=("widen",), min_length=1, description="which kinds of insertion")
    where: Where = Field(default="gain", description="which candidate is the best")
    schedule: Schedule = Field(
        default="auto",
        description="when growth steps come: adaptive trains until validation stalls and grows while that helps; "
        "auto is adaptive where the file sets no timetable",
    )
    plateau: float = Field(
        default=0.01,
        ge=0.0,
        lt=1.0,
        description="relative fall of the loss that counts, with 'plateau' and 'validation'",
    )
    scope: Scope = Field(default="best", description="the best place, one in turn, or all of them in a row")
    in_a_row: Count = Field(
        default=1, description="growth steps without training in between, each on what the one before has made"
    )
    share: float = Field(
        default=0.0,
        ge=0.0,
        le=100.0,
        description="new neurons per step relative to the width that is there, where that is more than 'neurons'",
    )
    insert: Insert = Field(
        default="auto",
        description="amplitude: at the measured optimum; silent: fan-out 0, training does the rest; zero_fan_out: "
        "likewise, with pre-activations of about 1; auto: silent of vectors where 100 gradient steps or more follow",
    )
    random_weights: bool = Field(
        default=False, description="as a control: in place of the computed weights, random ones of the same norms"
    )
    samples: Annotated[Literal["auto"] | Count, BeforeValidator(number_or_auto)] = Field(
        default="auto", description="samples for the statistics; auto is the thesis' rule (S W)^2 / P, within bounds"
    )
    patience: Count = Field(default=3, description="growth steps in a row without gain before growth ends")
    units: UnitsSpec | None = Field(default=None, description="units added while training, unmeasured")
    removal: float | None = Field(
        default=None,
        ge=0.0,
        le=1e12,
        allow_inf_nan=False,
        description="after each insertion, remove the edge or node that the loss misses least, up to so much",
    )
    tryout: TryoutSpec | None = Field(
        default=None, description="train copies with the best candidates for a while, and insert what has gained most"
    )
    calibrate: bool = Field(
        default=False,
        description="after each insertion, train a copy, and one that did not grow, to see what it was worth later",
    )
    warm_up: Epochs = Field(default=0, description="gradient steps in which the learning rate of new weights rises")
    budget: BudgetSpec = BudgetSpec()

    @model_validator(mode="after")
    def _fits_together(self) -> GrowthSpec:
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
        if self.tryout is not None and not registry("strategy")[self.where].by_gain:
            strategies = registry("strategy")
            fit = listed(name for name, strategy in strategies.items() if strategy.by_gain)
            raise ValueError(f"'tryout' chooses by what was gained: 'where' must be {fit}")
        return self
