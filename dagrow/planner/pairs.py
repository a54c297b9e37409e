"""Two amplitudes at once: of new neurons, and of the updates of existing weights that go with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dagrow.planner.amplitude import AmplitudeSearch
from dagrow.planner.sign_selection import SignChoice
from dagrow.planner.simulated_change import Trial

Run = Callable[[list[tuple[Trial, AmplitudeSearch]]], None]
"""Runs searches to their end, in passes over the data that they share."""


@dataclass(frozen=True)
class Asked:
    """What a pair is wanted for.

    Attributes:
        trial: neurons and updates, both at unit size.
        neurons: the search for the neurons alone, at its end.
        first_order: slopes at amplitude 0.
    """

    trial: Trial
    neurons: AmplitudeSearch
    first_order: SignChoice


@dataclass(frozen=True)
class Pair:
    """Amplitudes of new neurons and of the updates that go with them, and the loss there."""

    neurons: float
    updates: float
    loss: float


def best_pairs(asked: Sequence[Asked], run: Run) -> list[Pair]:
    """The best pair of each: both at one amplitude, or either alone; from the best of these each in turn."""
    both = [AmplitudeSearch(one.first_order.joint_scale, start=one.neurons.start) for one in asked]
    alone = [AmplitudeSearch(one.first_order.update_scale, start=one.neurons.start) for one in asked]
    trials = [one.trial for one in asked]
    updates_only = [trial.with_fixed(features=0.0) for trial in trials]
    run([*zip(trials, both, strict=True), *zip(updates_only, alone, strict=True)])
    pairs = []
    for one, together, update in zip(asked, both, alone, strict=True):
        found = [
            Pair(one.neurons.amplitude, 0.0, one.neurons.lowest_loss),
            Pair(together.amplitude, together.amplitude, together.lowest_loss),
            Pair(0.0, update.amplitude, update.lowest_loss),
        ]
        pairs.append(min(found, key=lambda pair: pair.loss))
    searches = [
        (one.trial.with_fixed(features=pair.neurons), AmplitudeSearch(one.first_order.update_scale, start=pair.loss))
        for one, pair in zip(asked, pairs, strict=True)
    ]
    run(searches)
    pairs = [
        replace(pair, updates=search.amplitude, loss=search.lowest_loss) if search.amplitude else pair
        for pair, (_, search) in zip(pairs, searches, strict=True)
    ]
    searches = [
        (one.trial.with_fixed(updates=pair.updates), AmplitudeSearch(one.neurons.scale, start=pair.loss))
        for one, pair in zip(asked, pairs, strict=True)
    ]
    run(searches)
    return [
        replace(pair, neurons=search.amplitude, loss=search.lowest_loss) if search.amplitude else pair
        for pair, (_, search) in zip(pairs, searches, strict=True)
    ]
