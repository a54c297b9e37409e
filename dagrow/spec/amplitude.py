"""How far changes go: the options of the search for an amplitude factor."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator

from dagrow.spec.graph import SpecPart

MOST_POINTS = 1000
"""Of a grid of amplitudes."""
FACTOR = 2.0
"""From each of them to the next (Algorithm 8: ``exp``)."""

Amplitude = Annotated[float, Field(gt=0.0, le=1e12, allow_inf_nan=False)]


class AmplitudeSpec(SpecPart):
    """The amplitude factor (thesis 4.2, Algorithms 8 and 12); left out, all of it is searched."""

    fixed: Amplitude | None = Field(
        default=None,
        description="no search: what enters has this amplitude, if it gains there (`lambda_method` of Algorithm 12)",
    )
    maximum: Amplitude | None = Field(
        default=None, description="no amplitude above this one is tried (`u` of thesis eq. 4.18); no bound if left out"
    )
    first: Amplitude | None = Field(
        default=None,
        description="the lowest amplitude tried; from there on each is `factor` times the one before, up to `maximum` "
        "(1 if left out), and the best of these is taken as it is (Algorithm 8: 1e-8). Left out, the search goes "
        "by decades and then around the best",
    )
    factor: Annotated[float, Field(ge=1.01, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None, description="from each amplitude to the next, where `first` is given: 2 if left out"
    )
    min_gain: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        default=0.0,
        description="share of the loss that must be gained; what gains less is rejected (`s` of Algorithm 8: 1e-4)",
    )

    @property
    def grid(self) -> tuple[float, ...]:
        """All amplitudes from the first one on; empty where none is given."""
        if self.first is None:
            return ()
        # A little rounding: a first amplitude times some power of the factor is never quite the bound.
        count = math.floor(self._steps + 1e-9) + 1
        return tuple(self.first * (self.factor or FACTOR) ** k for k in range(count))

    @property
    def _top(self) -> float:
        return 1.0 if self.maximum is None else self.maximum

    @property
    def _steps(self) -> float:
        """From the first amplitude to the largest."""
        return math.log(self._top / (self.first or self._top)) / math.log(self.factor or FACTOR)

    @model_validator(mode="after")
    def _fits_together(self) -> AmplitudeSpec:
        searched = [name for name in ("maximum", "first", "factor") if getattr(self, name) is not None]
        if self.fixed is not None and searched:
            raise ValueError(f"'fixed' leaves nothing to be searched: leave out '{searched[0]}'")
        if self.factor is not None and self.first is None:
            raise ValueError("'factor' says how amplitudes follow 'first': give that, too")
        if self.first is not None and self.first > self._top:
            raise ValueError(f"'first' ({self.first:g}) is above the largest amplitude ({self._top:g})")
        if self._steps >= MOST_POINTS:
            raise ValueError(f"these are more than {MOST_POINTS} amplitudes: take a larger 'factor' or 'first'")
        return self
