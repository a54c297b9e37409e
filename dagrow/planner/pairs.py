"""Two amplitudes at once: of new neurons, and of the updates of existing weights that go with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dagrow.planner.amplitude import LineSearch
from dagrow.planner.amplitude_rule import Amplitudes
from dagrow.planner.sign_selection import SignChoice
from dagrow.planner.simulated_change import Trial

Run = Callable[[list[tuple[Trial, LineSearch]]], None]
"""Runs searches to their end, in passes over the data that they share."""


@dataclass(frozen=True)
class Asked:
    """What a pair is wanted for.

    Attributes:
        first_order: neurons and updates, both at unit size, and slopes at amplitude 0.
        together: the search for both at one amplitude, at its end.
        alone: likewise, for the neurons alone.
        rules: which amplitudes may be tried.
    """

    first_order: SignChoice
    together: LineSearch
    alone: LineSearch
    rules: Amplitudes

    @property
    def start(self) -> float:
        """The loss at amplitude 0."""
        return self.together.start

    def of_neurons(self, updates: float, start: float) -> tuple[Trial, LineSearch]:
        """A search for their amplitude, that of the updates as it is."""
        search = self.rules.growth.search(self.first_order.scale, start, given=self.first_order.trial.scaling.given)
        return self.first_order.trial.with_fixed(updates=updates), search

    def of_updates(self, neurons: float, start: float) -> tuple[Trial, LineSearch]:
        """A search for theirs, in which the best update itself counts as 1."""
        unit = self.first_order.trial.scaling.scale
        search = self.rules.update.search(self.first_order.update_scale, start, unit=unit)
        return self.first_order.trial.with_fixed(features=neurons), search


@dataclass(frozen=True)
class Pair:
    """Amplitudes of new neurons and of the updates that go with them, and the loss there."""

    neurons: float
    updates: float
    loss: float


def best_pairs(asked: Sequence[Asked], run: Run) -> list[Pair | None]:
    """The best pair of each with neurons in it; None where none lowers the loss.

    Started at both at one amplitude, at the neurons alone and at the updates alone; from the best with neurons, and
    from the updates alone, each amplitude is searched in turn. That the updates alone may gain more is no reason to
    leave the neurons out: they are a candidate of another kind.
    """
    searches = [one.of_updates(0.0, one.start) for one in asked]
    run(searches)
    starts: list[tuple[int, Pair]] = []
    for index, (one, (_, update)) in enumerate(zip(asked, searches, strict=True)):
        g, n, u = one.together.amplitude, one.alone.amplitude, update.amplitude
        found = [Pair(g, g, one.together.lowest_loss)] if g else []
        found += [Pair(n, 0.0, one.alone.lowest_loss)] if n else []
        starts += [(index, min(found, key=lambda pair: pair.loss))] if found else []
        starts += [(index, Pair(0.0, u, update.lowest_loss))] if u else []
    ends = _neurons_in_turn(asked, _updates_in_turn(asked, starts, run), run)
    best: list[Pair | None] = [None] * len(asked)
    for index, pair in ends:
        known = best[index]
        if pair.neurons and (known is None or pair.loss < known.loss):
            best[index] = pair
    return best


def _updates_in_turn(asked: Sequence[Asked], pairs: list[tuple[int, Pair]], run: Run) -> list[tuple[int, Pair]]:
    """Better amplitudes of the updates, that of the neurons as it is; where there are no neurons, it is known."""
    searches = {
        number: asked[index].of_updates(pair.neurons, pair.loss)
        for number, (index, pair) in enumerate(pairs)
        if pair.neurons
    }
    run(list(searches.values()))
    better = {number: search for number, (_, search) in searches.items() if search.amplitude}
    return [
        (index, replace(pair, updates=better[number].amplitude, loss=better[number].lowest_loss))
        if number in better
        else (index, pair)
        for number, (index, pair) in enumerate(pairs)
    ]


def _neurons_in_turn(asked: Sequence[Asked], pairs: list[tuple[int, Pair]], run: Run) -> list[tuple[int, Pair]]:
    """Better amplitudes of the neurons, that of the updates as it is."""
    searches = [asked[index].of_neurons(pair.updates, pair.loss) for index, pair in pairs]
    run(searches)
    return [
        (index, replace(pair, neurons=search.amplitude, loss=search.lowest_loss) if search.amplitude else pair)
        for (index, pair), (_, search) in zip(pairs, searches, strict=True)
    ]
