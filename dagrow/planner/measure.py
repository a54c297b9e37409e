"""Measures drafts: all line searches in step, then what the best amplitudes really gain."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from dagrow.graph import Cost
from dagrow.mutation import WeightUpdate
from dagrow.planner.amplitude import AmplitudeSearch
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

    Returns:
        A candidate per draft, the loss as it is over all samples, and over the held-out ones (None without).
    """
    evaluator = Evaluator(snapshots, [v.trial for draft in drafts for v in draft.variants])
    tracks = _tracks(evaluator, drafts)
    start, tracks = _search(evaluator, tracks)
    _search_updates(evaluator, tracks)
    final = {track.draft: (track, *track.finished()) for track in tracks}
    winners = {i: (trial, track.search.amplitude) for i, (track, trial, _) in final.items() if track.search.amplitude}
    if evaluator.held_out or math.isnan(start):
        before, after = evaluator.measure(list(winners.values()))
        start, held = before.everywhere, before.held_out if evaluator.held_out else None
        gains = {i: (start - m.everywhere, before.held_out - m.held_out) for i, m in zip(winners, after, strict=True)}
    else:
        # The search saw every sample already.
        held = None
        lowest = {t.draft: t.updates.lowest_loss if t.updates.amplitude else t.search.lowest_loss for t in tracks}
        gains = {i: (start - lowest[i], float("nan")) for i in winners}
    return (
        [_candidate(draft, final.get(i), gains.get(i), held is not None) for i, draft in enumerate(drafts)],
        start,
        held,
    )


def _tracks(evaluator: Evaluator, drafts: list[Draft]) -> list[_Track]:
    """A search for each variant, its neurons turned to their better side."""
    variants = [(index, variant) for index, draft in enumerate(drafts) for variant in draft.variants]
    ready = [evaluator.with_norm_statistics(variant.trial) for _, variant in variants]
    tracks = []
    for (index, variant), oriented in zip(variants, evaluator.orient(ready), strict=True):
        trial = oriented.trial if oriented.trial.change.features is None else oriented.trial.without_updates()
        search = AmplitudeSearch(oriented.scale, evaluator.may_scout)
        if oriented.trial.change.features is not None and oriented.trial.change.updates:
            # The updates' own search comes after this one and makes good what one point less leaves.
            search.parabolas = 1
        tracks.append(_Track(index, variant, trial, oriented, search))
    return tracks


def _search(evaluator: Evaluator, tracks: list[_Track]) -> tuple[float, list[_Track]]:
    """Runs all searches to their end, one pass for one question each.

    Variants of a draft compete after the first pass; the losers are dropped.

    Returns:
        The loss on all samples of the search, NaN if no pass went over all, and the tracks that are left.
    """
    start_everywhere = math.nan
    first = True
    while True:
        asked = [(track, amplitudes) for track in tracks if (amplitudes := track.search.ask())]
        if not asked:
            return start_everywhere, tracks
        for scouting in (True, False):
            group = [(track, amplitudes) for track, amplitudes in asked if track.search.scouting == scouting]
            if not group:
                continue
            scaled = [(track.trial, [t * track.search.scale for t in amplitudes]) for track, amplitudes in group]
            start, losses = evaluator.search(scaled, scouting)
            start_everywhere = start_everywhere if scouting else start
            for (track, amplitudes), found in zip(group, losses, strict=True):
                track.search.start = start
                track.search.tell(dict(zip(amplitudes, found.values(), strict=True)))
        if first:
            tracks = _best_variants(evaluator, tracks)
            first = False


def _best_variants(evaluator: Evaluator, tracks: list[_Track]) -> list[_Track]:
    best: dict[int, _Track] = {}
    for track in tracks:
        rival = best.get(track.draft)
        if rival is None or track.search.lowest_loss < rival.search.lowest_loss:
            best[track.draft] = track
    evaluator.forget([track.trial for track in tracks if best[track.draft] is not track])
    return [best[index] for index in sorted(best)]


def _search_updates(evaluator: Evaluator, tracks: list[_Track]) -> None:
    """Where new features bring updates along: the amplitude of these, with the features in place.

    Where the updates then gain more than the features did, the amplitude of the features is looked at again.
    """
    joint = [track for track in tracks if track.search.amplitude and track.companions]
    searches = []
    for track in joint:
        trial = replace(track.trial.with_updates(track.companions, 1.0), pinned=track.search.amplitude)
        track.updates = AmplitudeSearch(track.first_order.update_scale, evaluator.may_scout)
        searches.append((trial, track.updates, track.search.lowest_loss))
    _run(evaluator, searches)
    again = []
    for track in joint:
        alone, together = track.search.lowest_loss, track.updates.lowest_loss
        if track.updates.amplitude and alone - together > track.search.start - alone:
            trial = replace(track.trial.with_updates(track.companions, 1.0), pinned_updates=track.updates.amplitude)
            search = AmplitudeSearch(track.search.scale, around=track.search.relative)
            again.append((trial, search, track))
    _run(evaluator, [(trial, search, track.search.start) for trial, search, track in again])
    for _, search, track in again:
        if search.lowest_loss < track.updates.lowest_loss:
            track.search = search
            track.updates.losses[track.updates.relative] = search.lowest_loss


def _run(evaluator: Evaluator, searches: list[tuple[Trial, AmplitudeSearch, float]]) -> None:
    """Runs searches to their end, each against the loss that its pinned part has alone."""
    while asked := [(*entry, points) for entry in searches if (points := entry[1].ask())]:
        for scouting in (True, False):
            group = [entry for entry in asked if entry[1].scouting == scouting]
            if not group:
                continue
            # Amplitude 0 is the pinned part alone: what the other has to beat. On all samples it is known.
            first = [0.0] if scouting else []
            scaled = [(trial, first + [t * search.scale for t in points]) for trial, search, _, points in group]
            _, losses = evaluator.search(scaled, scouting)
            for (_, search, alone, points), found in zip(group, losses, strict=True):
                search.start = found.pop(0.0, alone)
                search.tell(dict(zip(points, found.values(), strict=True)))


def _candidate(
    draft: Draft,
    found: tuple[_Track, Trial, float | None] | None,
    gains: tuple[float, float] | None,
    held: bool,
) -> Candidate:
    """The candidate of a draft: with its gains, or with the reason why it is rejected."""
    if found is None:
        return Candidate(draft.kind, draft.place, 0, 0.0, None, 0.0, None, (), 0.0, 0.0, Cost(0, 0), draft.reason)
    track, trial, slope = found
    variant, (gain, held_gain), rejected = track.variant, gains or (0.0, 0.0), ""
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
        amplitude=0.0 if rejected else track.search.amplitude,
        slope=slope,
        scores=variant.scores,
        noise_level=variant.noise_level,
        shrinkage=variant.shrinkage,
        cost=variant.cost,
        rejected=rejected,
        trial=None if rejected else trial,
    )
