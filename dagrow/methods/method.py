"""A growth method: its formula, and what it declares about itself, so that nothing else asks for its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dagrow.methods.moments import Neurons, Request, SiteMoments

Formula = Callable[[SiteMoments, Request], Neurons]
"""Moments in, neurons out: a pure function of matrices."""


@dataclass(frozen=True)
class Method:
    """A growth method.

    Attributes:
        formula: makes the neurons.
        goal: it reads `SiteMoments.N_goal`.
        existing: it reads `SiteMoments.existing`, the neurons that are there already.
        deepens: a new layer that only keeps the function of the edge that it replaces is a candidate of its own.
        fills: it can make neurons for a node that has none yet.
    """

    formula: Formula
    goal: bool = False
    existing: bool = False
    deepens: bool = False
    fills: bool = True

    def __call__(self, moments: SiteMoments, request: Request) -> Neurons:
        """The neurons that it makes of these moments."""
        return self.formula(moments, request)
