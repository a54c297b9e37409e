"""A growth method: its formula, and what it declares about itself, so that nothing else asks for its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dagrow.methods.moments import EdgeMoments, MethodRequest, Neurons, NewWeights, SiteMoments
from dagrow.renaming import renamed_arguments

GOAL = "goal"
"""A need: the features against the desired update itself, in `SiteMoments.N_goal`."""
EXISTING = "existing"
"""A need: the neurons that the growing node has already, in `SiteMoments.existing`."""

SAMPLES = "samples"
"""A need: samples at every place, not only where moments say nothing, in `SiteMoments.samples`."""

SILENCE = "silence"
"""A need: activations that are 0 at 0, so that neurons with a fan-in of 0 change nothing."""

Formula = Callable[[SiteMoments, MethodRequest], Neurons]
"""Moments in, neurons out: a pure function of matrices."""


EdgeFormula = Callable[[EdgeMoments, MethodRequest], NewWeights | None]
"""Moments in, the weights of a new edge out; None where there are none worth having."""


@renamed_arguments(deepens="supports_identity_layer", fills="supports_empty_node", searches="needs_search")
@dataclass(frozen=True)
class Method:
    """A growth method.

    Attributes:
        formula: makes the neurons.
        needs: what it reads besides features and `N_proj`; the planner supplies it where graph and data can give it,
            and refuses the others before anything is trained.
        supports_identity_layer: a new layer that only keeps the function of the edge that it replaces is a candidate.
        supports_empty_node: it can make neurons for a node that has none yet.
        edge: makes the weights of new edges, which enter as they are; None leaves them to the best update.
        needs_search: it finds nothing without samples, at places where moments say nothing either.
        squared_scores: the squares of its scores add up to what its neurons take off the expressivity bottleneck.
        completed: where its neurons do not gain, those of `MethodRequest.fallback_method` have their turn.
    """

    formula: Formula
    needs: tuple[str, ...] = ()
    supports_identity_layer: bool = False
    supports_empty_node: bool = True
    edge: EdgeFormula | None = None
    needs_search: bool = False
    squared_scores: bool = False
    completed: bool = False

    def __call__(self, moments: SiteMoments, request: MethodRequest) -> Neurons:
        """The neurons that it makes of these moments."""
        return self.formula(moments, request)
