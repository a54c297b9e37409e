"""Which amplitudes are tried, and what must be gained: as run files say it, for insertions and for updates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dagrow.planner.amplitude import PARABOLAS, AmplitudeSearch, GridSearch, LineSearch
from dagrow.planner.candidate import Candidate
from dagrow.planner.kinds import KINDS
from dagrow.spec.amplitude import AmplitudeSpec
from dagrow.spec.proposal import ProposalOptions

_FREE = AmplitudeSpec()


@dataclass(frozen=True)
class AmplitudeRule:
    """Which amplitudes are tried.

    Attributes:
        spec: as the run file says.
    """

    spec: AmplitudeSpec = _FREE

    def search(
        self,
        scale: float,
        start: float = math.nan,
        *,
        unit: float = 1.0,
        parabolas: int = PARABOLAS,
        given: float | None = None,
    ) -> LineSearch:
        """A search at its start.

        Args:
            scale: the amplitude that counts as 1 in the search: about where the best one is.
            start: the loss at amplitude 0, where it is known.
            unit: the amplitude that the rule calls 1.
            parabolas: see `AmplitudeSearch`.
            given: the only amplitude, where something else than the rule sets it.
        """
        fixed = given if given is not None else None if self.spec.fixed is None else self.spec.fixed * unit
        grid = (fixed,) if fixed is not None else tuple(unit * point for point in self.spec.grid)
        if grid:
            return GridSearch(scale, start, grid=tuple(point / scale for point in grid))
        largest = math.inf if self.spec.maximum is None else self.spec.maximum * unit / scale
        return AmplitudeSearch(scale, start, parabolas=parabolas, largest=largest)


@dataclass(frozen=True)
class Amplitudes:
    """The rules of a proposal.

    Attributes:
        growth: of what is inserted, with all that has the same amplitude.
        update: of updates of existing weights.
        apart: updates that new neurons bring along have an amplitude of their own.
    """

    growth: AmplitudeRule = AmplitudeRule()
    update: AmplitudeRule = AmplitudeRule()
    apart: bool = False

    @classmethod
    def of(cls, options: ProposalOptions) -> Amplitudes:
        """As a proposal is asked for."""
        growth, update = AmplitudeRule(options.amplitude), AmplitudeRule(options.update_amplitude)
        return cls(growth, update, options.with_update == "two_amplitudes")

    def rule(self, kind: str) -> AmplitudeRule:
        """That of a kind of candidate."""
        return self.growth if KINDS[kind].grows else self.update

    def judged(self, candidate: Candidate, loss: float) -> Candidate:
        """The candidate, rejected where it gains too small a share of the loss.

        Args:
            candidate: with its gain.
            loss: that the gain is taken off, on the same samples.
        """
        kind = KINDS[candidate.kind]
        if not (kind.grows or kind.rivals_growth):
            # What a removal may cost is its own limit.
            return candidate
        share = self.rule(candidate.kind).spec.min_gain
        gain = candidate.validation_gain
        if candidate.rejected or candidate.still or gain >= share * abs(loss):
            return candidate
        return candidate.refused(f"gains {gain:.3g}, less than {share:g} of the loss")


def settled(search: LineSearch, amplitude: float, loss: float) -> LineSearch:
    """The search at its end, at an amplitude that was found otherwise."""
    return replace(search, losses={amplitude / search.scale: loss})
