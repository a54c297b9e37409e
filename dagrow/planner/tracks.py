"""The searches of a proposal: one for each variant of each draft, and how each ends."""

from __future__ import annotations

from dataclasses import dataclass

from dagrow.planner.amplitude import LineSearch
from dagrow.planner.kinds import Solution
from dagrow.planner.sign_selection import SignChoice
from dagrow.planner.simulated_change import Trial


@dataclass
class Track:
    """The search for one variant of one draft.

    Attributes:
        draft: index of the draft.
        variant: the way to fill it.
        first_order: the trial, its neurons turned to their better side, and slopes at amplitude 0.
        search: of the amplitude: that of new features and of the updates that go with them.
        alone: of the amplitude of new features without these updates, where the two have amplitudes of their own.
        ratio: the amplitude of these updates, in that of the features.
    """

    draft: int
    variant: Solution
    first_order: SignChoice
    search: LineSearch
    alone: LineSearch | None = None
    ratio: float = 1.0

    @property
    def trial(self) -> Trial:
        """What is searched."""
        return self.first_order.trial

    @property
    def searches(self) -> list[tuple[Trial, LineSearch]]:
        """All searches of one amplitude."""
        alone = [] if self.alone is None else [(self.first_order.neurons_alone, self.alone)]
        return [(self.trial, self.search), *alone]

    @property
    def gain(self) -> float:
        """What the loss falls by, as far as it is known."""
        return max(search.start - search.lowest_loss for _, search in self.searches)

    def finished(self) -> tuple[Trial, float | None]:
        """The change as found, for one amplitude, and its slope."""
        slope = self.first_order.slope
        if not self.first_order.has_companions:
            return self.trial, slope
        slope = None if slope is None else slope + self.ratio * self.first_order.update_slope
        return self.trial if self.ratio == 1.0 else self.trial.with_updates(
            self.trial.change.updates, self.ratio
        ), slope


@dataclass
class Final:
    """A change as it was found, with the search on all samples where the first saw a part of them only."""

    track: Track
    trial: Trial
    slope: float | None
    search: LineSearch | None = None

    def again(self) -> LineSearch:
        """Starts the search on all samples, at what was found."""
        self.search = self.track.search.again()
        return self.search

    @property
    def amplitude(self) -> float:
        """The amplitude of the whole change."""
        return (self.search or self.track.search).amplitude

    @property
    def start(self) -> float:
        """The loss without it."""
        return (self.search or self.track.search).start

    @property
    def loss(self) -> float:
        """The loss with it."""
        if self.search is not None:
            return self.search.lowest_loss
        return self.track.search.lowest_loss
