"""What makes a run nonparametric: a penalty on units, units that come without being measured, rewinding."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dagrow.registry import one_of
from dagrow.spec.frozen import FrozenDict
from dagrow.spec.graph import SpecPart


class PenaltySpec(SpecPart):
    """Shrinks the fan-in or the fan-out of every unit; a unit that is left with none is removed."""

    side: Annotated[str, one_of("side")] = Field(
        default="fan_in", description="what is shrunk: the weights (and biases) into each unit, or those out of it"
    )
    p: int = Field(
        default=2,
        ge=1,
        le=2,
        description="of the norm: `1` takes the same from each weight, `2` from the length of the side as a whole",
    )
    strength: float = Field(
        default=0.001, gt=0.0, le=1e6, allow_inf_nan=False, description="lambda, in the unit of the loss per length"
    )
    node_strengths: FrozenDict[str, Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)]] = Field(
        default=FrozenDict(),
        description="lambda of the units of single nodes, by name (with `side: fan_out` of inputs too); all others "
        "have `strength`",
    )

    def of(self, node: str) -> float:
        """Lambda of the units of a node, or of the features of an input."""
        return self.node_strengths.get(node, self.strength)


class ContinuousGrowthSpec(SpecPart):
    """Units that are added to every node that can grow, with random fan-in and fan-out 0."""

    rate: float = Field(
        default=1.0,
        gt=0.0,
        le=1e6,
        description="new units per node each time; a fraction is the mean of a Poisson number",
    )
    every: float = Field(
        default=1.0,
        gt=0.0,
        le=1e6,
        description="passes over the training set from one time to the next; `0.1` is ten times per pass",
    )
    until: int | None = Field(default=None, ge=0, le=10**6, description="passes after which no more come")


class AnnealSpec(SpecPart):
    """Steps become smaller, and what did not help is taken back, as held-out samples say."""

    held_out: float = Field(
        default=0.2, gt=0.0, lt=1.0, description="share of the training samples that is kept back to judge by"
    )
    patience: int = Field(default=100, ge=1, le=10**6, description="passes without a better score that end a phase")
    late_patience: int = Field(default=5, ge=1, le=10**6, description="the same for each round of smaller steps")
    factor: float = Field(default=3.0, gt=1.0, le=1e6, description="what the learning rate is divided by in each round")
