"""A growth method: its formula, and what it declares about itself, so that nothing else asks for its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dagrow.methods.moments import Neurons, Request, SiteMoments

CHAIN = "relu_chain"
"""A need: the network itself as a `ReluChain` with labelled samples, in `SiteMoments.chain`."""

Formula = Callable[[SiteMoments, Request], Neurons]
"""Moments in, neurons out: a pure function of matrices."""


@dataclass(frozen=True)
class Method:
    """A growth method.

    Attributes:
        formula: makes the neurons.
        needs: what it needs besides moments; the planner has it for graphs and data that can give it, and refuses the
            others before anything is trained.
    """

    formula: Formula
    needs: tuple[str, ...] = ()

    def __call__(self, moments: SiteMoments, request: Request) -> Neurons:
        """The neurons that it makes of these moments."""
        return self.formula(moments, request)
