"""Measures drafts: all line searches in step, then what the best amplitudes really gain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from dagrow.graph import Cost
from dagrow.mutation import WeightUpdate
from dagrow.planner.amplitude import PARABOLAS, AmplitudeSearch
from dagrow.planner.candidate import Candidate
from dagrow.planner.drafts import Draft, Variant
from dagrow.planner.evaluate import Evaluator
from dagrow.planner.orient import Oriented
from dagrow.planner.trial import Trial
from dagrow.statistics import Snapshots


@dataclass
class _Track:
    """The search for one variant of one draft.

    Attributes:
        draft: index of the draft.
        variant: the way to fill it.
        trial: what is searched now: the variant's new features; later, the updates that go with them.
        first_order: slopes at amplitude 0.
        search: of the amplitude.
        updates: the search for the amplitude of the updates, once that of the features is known.
    """

    draft: int
    variant: Variant
    trial: Trial
    first_order: Oriented
    search: AmplitudeSearch
    updates: AmplitudeSearch = field(default_factory=AmplitudeSearch)

    @property
    def companions(self) -> tuple[WeightUpdate, ...]:
        """The updates that go with new features."""
        change = self.variant.trial.change
        return change.updates if change.features is not None else ()

    def finished(self) -> tuple[Trial, float | None]:
        """The change as found, for one amplitude, and its slope."""
        found, slope = self.updates.amplitude, self.first_order.slope
        if not found or not self.search.amplitude:
            return self.trial, slope
        ratio = found / self.search.amplitude
        slope = None if slope is None else slope + ratio * self.first_order.update_slope
        return self.trial.with_updates(self.companions, ratio), slope


def measure(snapshots: Snapshots, drafts: list[Draft]) -> tuple[list[Candidate], float, float | None]:
    """What each draft would gain.

    Where samples are many, a part of them finds the amplitudes, and all of them decide around these.

    Returns:
        A candidate per draft, the loss as it is over all samples, and over the held-out ones (None without).
    """
    evaluator = Evaluator(snapshots, [v.trial for draft in drafts for v in draft.variants])
    scouting = evaluator.may_scout
    tracks = _best_variants_searched(evaluator, _tracks(evaluator, drafts), scouting)
    _search_updates(evaluator, tracks, scouting)
    final = {track.draft: _Final(track, *track.finished()) for track in tracks}
    if scouting:
        searches = [(entry.trial, entry.again()) for entry in final.values() if entry.amplitude]
        _run(evaluator, searches, scouting=False)
    winners = {i: (entry.trial, entry.amplitude) for i, entry in final.items() if entry.amplitude}
    if evaluator.held_out or not winners:
        before, after = evaluator.measure(list(winners.values()))
        start, held = before.everywhere, before.held_out if evaluator.held_out else None
        gains = {i: (start - m.everywhere, before.held_out - m.held_out) for i, m in zip(winners, after, strict=True)}
    else:
        # The search saw every sample already.
        held, start = None, next(iter(final[i].start for i in winners))
        gains = {i: (start - final[i].loss, math.nan) for i in winners}
    candidates = [_candidate(draft, final.get(i), gains.get(i), held is not None) for i, draft in enumerate(drafts)]
    return candidates, start, held


@dataclass
class _Final:
    """A change as it was found, with the search on all samples where the first saw a part of them only."""

    track: _Track
    trial: Trial
    slope: float | None
    search: AmplitudeSearch | None = None

    def again(self) -> AmplitudeSearch:
        """Starts the search on all samples, around what was found."""
        self.search = AmplitudeSearch(around=self.track.search.amplitude, parabolas=0)
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
        return (self.track.updates if self.track.updates.amplitude else self.track.search).lowest_loss


def _tracks(evaluator: Evaluator, drafts: list[Draft]) -> list[_Track]:
    """A search for each variant, its neurons turned to their better side."""
    variants = [(index, variant) for index, draft in enumerate(drafts) for variant in draft.variants]
    ready = [evaluator.with_norm_statistics(variant.trial) for _, variant in variants]
    tracks = []
    for (index, variant), oriented in zip(variants, evaluator.orient(ready), strict=True):
        trial = oriented.trial if oriented.trial.change.features is None else oriented.trial.without_updates()
        # All samples will decide where a part of them only scouts: one point less there.
        parabolas = 1 if evaluator.may_scout else PARABOLAS
        tracks.append(_Track(index, variant, trial, oriented, AmplitudeSearch(oriented.scale, parabolas=parabolas)))
    return tracks


def _best_variants_searched(evaluator: Evaluator, tracks: list[_Track], scouting: bool) -> list[_Track]:
    """Runs all searches; variants of a draft compete after the first pass, and the losers are dropped."""
    _run(evaluator, [(track.trial, track.search) for track in tracks], scouting, passes=1)
    tracks = _best_variants(evaluator, tracks)
    _run(evaluator, [(track.trial, track.search) for track in tracks], scouting)
    return tracks


def _best_variants(evaluator: Evaluator, tracks: list[_Track]) -> list[_Track]:
    best: dict[int, _Track] = {}
    for track in tracks:
        rival = best.get(track.draft)
        if rival is None or track.search.lowest_loss < rival.search.lowest_loss:
            best[track.draft] = track
    evaluator.forget([track.trial for track in tracks if best[track.draft] is not track])
    return [best[index] for index in sorted(best)]


def _search_updates(evaluator: Evaluator, tracks: list[_Track], scouting: bool) -> None:
    """Where new features bring updates along: the amplitude of these, with the features in place.

    Where the updates then gain more than the features did, the amplitude of the features is looked at again.
    """
    joint = [track for track in tracks if track.search.amplitude and track.companions]
    searches = []
    for track in joint:
        trial = replace(track.trial.with_updates(track.companions, 1.0), pinned=track.search.amplitude)
        track.updates = AmplitudeSearch(track.first_order.update_scale, start=track.search.lowest_loss)
        searches.append((trial, track.updates))
    _run(evaluator, searches, scouting)
    again = []
    for track in joint:
        alone, together = track.search.lowest_loss, track.updates.lowest_loss
        if track.updates.amplitude and alone - together > track.search.start - alone:
            trial = replace(track.trial.with_updates(track.companions, 1.0), pinned_updates=track.updates.amplitude)
            search = AmplitudeSearch(track.search.scale, track.search.relative, track.search.start)
            again.append((track, trial, search))
    _run(evaluator, [(trial, search) for _, trial, search in again], scouting)
    for track, _, search in again:
        if search.lowest_loss < track.updates.lowest_loss:
            track.search = search
            track.updates.losses[track.updates.relative] = search.lowest_loss


def _run(
    evaluator: Evaluator,
    searches: list[tuple[Trial, AmplitudeSearch]],
    scouting: bool,
    passes: int | None = None,
) -> None:
    """Runs searches in step, one pass over the samples for one question each.

    Args:
        evaluator: answers.
        searches: trials, each with its search; one that knows its starting loss keeps it.
        scouting: ask a part of the samples only.
        passes: end after so many; None goes on to the end.
    """
    while passes != 0 and (asked := [(*pair, points) for pair in searches if (points := pair[1].ask())]):
        scaled = [(trial, [t * search.scale for t in points]) for trial, search, points in asked]
        start, losses = evaluator.search(scaled, scouting)
        for (_, search, points), found in zip(asked, losses, strict=True):
            search.start = start if math.isnan(search.start) else search.start
            search.tell(dict(zip(points, found.values(), strict=True)))
        passes = None if passes is None else passes - 1


def _candidate(
    draft: Draft,
    found: _Final | None,
    gains: tuple[float, float] | None,
    held: bool,
) -> Candidate:
    """The candidate of a draft: with its gains, or with the reason why it is rejected."""
    if found is None:
        return Candidate(draft.kind, draft.place, 0, 0.0, None, 0.0, None, (), 0.0, 0.0, Cost(0, 0), draft.reason)
    variant, (gain, held_gain), rejected = found.track.variant, gains or (0.0, 0.0), ""
    if gains is None:
        rejected = "no amplitude lowers the loss"
    elif not gain > 0:
        rejected = "gains only on held-out samples" if held else "gains only on a part of the samples"
    return Candidate(
        kind=draft.kind,
        place=draft.place,
        neurons=variant.neurons,
        gain=0.0 if rejected else gain,
        held_out_gain=held_gain if held and not rejected else None,
        amplitude=0.0 if rejected else found.amplitude,
        slope=found.slope,
        scores=variant.scores,
        noise_level=variant.noise_level,
        shrinkage=variant.shrinkage,
        cost=variant.cost,
        rejected=rejected,
        trial=None if rejected else found.trial,
    )
