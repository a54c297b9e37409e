"""Measures drafts: all line searches in step, then what the best amplitudes really gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from dagrow.mutation import WeightUpdate
from dagrow.planner.amplitude import PARABOLAS, AmplitudeSearch
from dagrow.planner.candidate import Candidate
from dagrow.planner.evaluate import Evaluator
from dagrow.planner.kinds import KINDS, Proposal, Solution
from dagrow.planner.origin import Origin
from dagrow.planner.outcome import measured, nothing
from dagrow.planner.pairs import Asked, best_pairs
from dagrow.planner.scaling import AtBound, Gains
from dagrow.planner.selection import WHERE, promise, rounding
from dagrow.planner.sign_selection import SignChoice
from dagrow.planner.simulated_change import Trial
from dagrow.statistics import ActivationCache
from dagrow.ties import best_first


@dataclass
class _Track:
    """The search for one variant of one draft.

    Attributes:
        draft: index of the draft.
        variant: the way to fill it.
        trial: what is searched now: the variant's new features; later, the updates that go with them.
        first_order: slopes at amplitude 0.
        search: of the amplitude.
        ratio: the amplitude of the updates that go with the features, in that of the features.
    """

    draft: int
    variant: Solution
    trial: Trial
    first_order: SignChoice
    search: AmplitudeSearch
    ratio: float = 0.0

    @property
    def companions(self) -> tuple[WeightUpdate, ...]:
        """The updates that go with new features at an amplitude of their own."""
        trial = self.variant.trial
        return () if trial.change.features is None or trial.scaling.fan_in_fixed else trial.change.updates

    def finished(self) -> tuple[Trial, float | None]:
        """The change as found, for one amplitude, and its slope."""
        slope = self.first_order.slope
        if not self.ratio:
            return self.trial, slope
        slope = None if slope is None else slope + self.ratio * self.first_order.update_slope
        return self.trial.with_updates(self.companions, self.ratio), slope


@dataclass(frozen=True)
class Findings:
    """What was measured.

    Attributes:
        candidates: one per draft.
        loss: as it is, over all samples.
        held_out_loss: over the held-out ones; None without such.
        searched: how many drafts were searched to the end.
        failed: which of them do not gain.
    """

    candidates: list[Candidate]
    loss: float
    held_out_loss: float | None
    searched: int
    failed: tuple[int, ...] = ()


def measure(
    snapshots: ActivationCache,
    drafts: list[Proposal],
    max_solved: int,
    max_searched: int,
    where: str,
    significance: float = 0.0,
) -> Findings:
    """What each draft would gain.

    Where samples are many, a part of them finds the amplitudes, and all of them decide there.

    Args:
        snapshots: of the network.
        drafts: to be measured.
        max_solved: how many of a kind have a first look at their amplitudes, where ``where`` ranks by gain.
        max_searched: how many go on after it.
        where: the strategy.
        significance: what adds parameters must gain this multiple of the gain's standard error, on held-out samples.
    """
    evaluator = Evaluator(snapshots)
    pilot = evaluator.may_use_pilot
    # A single trial will need its orientation over all samples anyhow.
    glance = pilot and sum(len(draft.variants) for draft in drafts) > 1
    tracks, behind = _steepest(_tracks(evaluator, drafts, glance), drafts, max_solved, where)
    _run(evaluator, [(track.trial, track.search) for track in tracks], pilot, passes=1)
    tracks, slower = _front(_best_variants(evaluator, tracks), max_searched, where)
    behind.update(slower)
    if glance:
        exact = evaluator.orient([track.first_order.trial for track in tracks], sides=False)
        tracks = [replace(track, first_order=oriented) for track, oriented in zip(tracks, exact, strict=True)]
    _run(evaluator, [(track.trial, track.search) for track in tracks], pilot)
    _search_updates(evaluator, tracks, pilot)
    final = {track.draft: _Final(track, *track.finished()) for track in tracks}
    if pilot:
        searches = [(entry.trial, entry.again()) for entry in final.values() if entry.amplitude]
        _run(evaluator, searches, pilot=False)
    winners = {i: (entry.trial, entry.amplitude) for i, entry in final.items() if entry.amplitude}
    constant = {
        i: draft.variants[0]
        for i, draft in enumerate(drafts)
        if draft.variants and not draft.variants[0].trial.scaling.searched
    }
    winners.update({i: (_ready(evaluator, variant.trial), 1.0) for i, variant in constant.items()})
    with_slope = [i for i in constant if isinstance(winners[i][0].scaling, AtBound)]
    oriented = evaluator.orient([winners[i][0] for i in with_slope])
    slopes = {i: each.slope for i, each in zip(with_slope, oriented, strict=True)}
    if evaluator.held_out or constant or not winners:
        before, after = evaluator.measure(list(winners.values()))
        start, held = before.everywhere, before.held_out if evaluator.held_out else None
        gains = {
            i: Gains(
                start - m.everywhere,
                None if held is None else before.held_out - m.held_out,
                significance * m.error,
                m.error,
            )
            for i, m in zip(winners, after, strict=True)
        }
    else:
        # The search saw every sample already.
        held, start = None, next(iter(final[i].start for i in winners))
        gains = {i: Gains(start - final[i].loss) for i in winners}
    candidates = []
    for i, draft in enumerate(drafts):
        entry = final.get(i)
        if i in constant:
            candidates.append(measured(draft, constant[i], winners.get(i), gains.get(i), slopes.get(i)))
        elif entry is not None:
            candidates.append(measured(draft, entry.track.variant, winners.get(i), gains.get(i), entry.slope))
        else:
            candidates.append(nothing(draft, behind.get(i, draft.reason)))
    origin = Origin.of(evaluator.network)
    failed = tuple(i for i in sorted(final) if candidates[i].rejected)
    known = [replace(candidate, measured_on=origin) for candidate in candidates]
    return Findings(known, start, held, len(final) + len(constant), failed)


def _ready(evaluator: Evaluator, trial: Trial) -> Trial:
    """A fixed change with the norm statistics of its new features; copies bring those of their originals along."""
    features = trial.change.features
    return trial if features is None or features.statistics else evaluator.with_norm_statistics(trial)


def _steepest(
    tracks: list[_Track], drafts: Sequence[Proposal], most: int, where: str
) -> tuple[list[_Track], dict[int, str]]:
    """The tracks of the drafts that promise most at first order, so many of each kind, and why others go no further.

    The slope at amplitude 0 is known already, while a look at amplitudes runs the network below each place: without a
    choice, it would cost as many passes as there are places. Kinds that are screened come as a choice already; drafts
    without a slope have no part in it.
    """
    slopes: dict[str, dict[int, float]] = {}
    for track in tracks if WHERE[where].by_gain else ():
        draft = drafts[track.draft]
        if track.first_order.slope is not None and not KINDS[draft.kind].screened:
            own = slopes.setdefault(draft.kind, {})
            found = promise(where, track.first_order.slope, *track.variant.cost)
            own[track.draft] = max(found, own.get(track.draft, found))
    behind = {
        index: f"behind at first order, slope {own[index]:.3g}"
        for own in slopes.values()
        for index in best_first(list(own), own.__getitem__, lambda index: index)[most:]
    }
    return [track for track in tracks if track.draft not in behind], behind


def _front(tracks: list[_Track], finalists: int, where: str) -> tuple[list[_Track], dict[int, str]]:
    """The most promising tracks, in their order, and why the others go no further."""
    if not WHERE[where].by_gain or len(tracks) <= finalists:
        return tracks, {}

    front = _most_gained(tracks, where)[:finalists]
    kept = {track.draft for track in front}
    behind = {
        track.draft: f"behind after a first look, gain about {track.search.start - track.search.lowest_loss:.3g}"
        for track in tracks
        if track.draft not in kept
    }
    return [track for track in tracks if track.draft in kept], behind


def _most_gained(tracks: Sequence[_Track], where: str) -> list[_Track]:
    """By falling gain so far, as a strategy weighs it; of equal ones the simpler first, then the earlier one."""
    found = best_first(
        list(enumerate(tracks)),
        lambda each: promise(where, each[1].search.start - each[1].search.lowest_loss, *each[1].variant.cost),
        lambda each: (each[1].variant.cost.parameters, each[0]),
        lambda each: rounding(where, each[1].search.start, *each[1].variant.cost),
    )
    return [track for _, track in found]


@dataclass
class _Final:
    """A change as it was found, with the search on all samples where the first saw a part of them only."""

    track: _Track
    trial: Trial
    slope: float | None
    search: AmplitudeSearch | None = None

    def again(self) -> AmplitudeSearch:
        """Starts the search on all samples, at what was found."""
        self.search = AmplitudeSearch(around=self.track.search.amplitude)
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


def _tracks(evaluator: Evaluator, drafts: list[Proposal], glance: bool) -> list[_Track]:
    """A search for each variant, its neurons turned to their better side, which a glance at a part may tell."""
    variants = [
        (i, variant) for i, draft in enumerate(drafts) for variant in draft.variants if variant.trial.scaling.searched
    ]
    ready = [evaluator.with_norm_statistics(variant.trial) for _, variant in variants]
    tracks = []
    for (index, variant), oriented in zip(variants, evaluator.orient(ready, glance), strict=True):
        trial = oriented.trial
        if trial.change.features is not None and not trial.scaling.fan_in_fixed:
            trial = trial.without_updates()
        # All samples will decide where these are a pilot only: one point less there.
        parabolas = 1 if evaluator.may_use_pilot else PARABOLAS
        tracks.append(_Track(index, variant, trial, oriented, AmplitudeSearch(oriented.scale, parabolas=parabolas)))
    return tracks


def _best_variants(evaluator: Evaluator, tracks: list[_Track]) -> list[_Track]:
    rivals: dict[int, list[_Track]] = {}
    for track in tracks:
        rivals.setdefault(track.draft, []).append(track)
    best = {index: _most_gained(own, "gain")[0] for index, own in rivals.items()}
    evaluator.forget([track.trial for track in tracks if best[track.draft] is not track])
    return [best[index] for index in sorted(best)]


def _search_updates(evaluator: Evaluator, tracks: list[_Track], pilot: bool) -> None:
    """Where new features bring updates along: the best pair of amplitudes."""
    joint = [track for track in tracks if track.companions]
    asked = [Asked(track.trial.with_updates(track.companions, 1.0), track.search, track.first_order) for track in joint]
    for track, best in zip(joint, best_pairs(asked, partial(_run, evaluator, pilot=pilot)), strict=True):
        # Without neurons there is nothing to insert: the updates are a candidate of their own kind.
        losses = {best.neurons / track.search.scale: best.loss} if best.neurons else {}
        track.search = AmplitudeSearch(track.search.scale, start=track.search.start, losses=losses)
        track.ratio = best.updates / best.neurons if best.neurons else 0.0


def _run(
    evaluator: Evaluator,
    searches: list[tuple[Trial, AmplitudeSearch]],
    pilot: bool,
    passes: int | None = None,
) -> None:
    """Runs searches in step, one pass over the samples for one question each.

    Args:
        evaluator: answers.
        searches: trials, each with its search; one that knows its starting loss keeps it.
        pilot: ask a part of the samples only.
        passes: end after so many; None goes on to the end.
    """
    while passes != 0 and (asked := [(*pair, points) for pair in searches if (points := pair[1].ask())]):
        scaled = [(trial, [t * search.scale for t in points]) for trial, search, points in asked]
        start, losses = evaluator.search(scaled, pilot)
        for (_, search, points), found in zip(asked, losses, strict=True):
            search.start = start if math.isnan(search.start) else search.start
            search.tell(dict(zip(points, found.values(), strict=True)))
        passes = None if passes is None else passes - 1
