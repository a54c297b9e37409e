"""Measures drafts: all line searches in step, then what the best amplitudes really gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from dagrow.planner.amplitude import PARABOLAS, LineSearch
from dagrow.planner.amplitude_rule import Amplitudes, settled
from dagrow.planner.candidate import Candidate
from dagrow.planner.evaluate import Evaluator
from dagrow.planner.kinds import KINDS, Proposal
from dagrow.planner.origin import Origin
from dagrow.planner.outcome import measured, nothing
from dagrow.planner.pairs import Asked, best_pairs
from dagrow.planner.scaling import AtBound, Gains
from dagrow.planner.selection import WHERE, promise, rounding
from dagrow.planner.simulated_change import Trial
from dagrow.planner.tracks import Final, Track
from dagrow.statistics import ActivationCache
from dagrow.ties import best_first

_FREE = Amplitudes()


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
    amplitudes: Amplitudes = _FREE,
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
        amplitudes: which of them may be tried.
    """
    evaluator = Evaluator(snapshots)
    pilot = evaluator.may_use_pilot
    # A single trial will need its orientation over all samples anyhow.
    glance = pilot and sum(len(draft.variants) for draft in drafts) > 1
    tracks, behind = _steepest(_tracks(evaluator, drafts, glance, amplitudes), drafts, max_solved, where)
    _run(evaluator, _all_searches(tracks), pilot, passes=1)
    tracks, slower = _front(_best_variants(evaluator, tracks), drafts, max_searched, where)
    behind.update(slower)
    if glance:
        exact = evaluator.orient([track.first_order.trial for track in tracks], sides=False)
        tracks = [replace(track, first_order=oriented) for track, oriented in zip(tracks, exact, strict=True)]
    _run(evaluator, _all_searches(tracks), pilot)
    _search_pairs(evaluator, tracks, pilot, amplitudes)
    final = {track.draft: Final(track, *track.finished()) for track in tracks}
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
    tracks: list[Track], drafts: Sequence[Proposal], most: int, where: str
) -> tuple[list[Track], dict[int, str]]:
    """The tracks of the drafts that promise most at first order, so many of each kind, and why others go no further.

    The slope at amplitude 0 is known already, while a look at amplitudes runs the network below each place: without a
    choice, it would cost as many passes as there are places. Kinds that are screened come as a choice already; drafts
    without a slope have no part in it.
    """
    slopes: dict[str, dict[int, float]] = {}
    for track in tracks if WHERE[where].by_gain else ():
        draft = drafts[track.draft]
        slope = track.first_order.joint_slope
        if slope is not None and not KINDS[draft.kind].screened:
            own = slopes.setdefault(draft.kind, {})
            found = promise(where, slope, *track.variant.cost)
            own[track.draft] = max(found, own.get(track.draft, found))
    behind = {
        index: f"behind at first order, slope {own[index]:.3g}"
        for own in slopes.values()
        for index in best_first(list(own), own.__getitem__, lambda index: index)[most:]
    }
    return [track for track in tracks if track.draft not in behind], behind


def _front(
    tracks: list[Track], drafts: Sequence[Proposal], finalists: int, where: str
) -> tuple[list[Track], dict[int, str]]:
    """The most promising tracks, in their order, and why the others go no further.

    The best insertion goes on in any case: where updates gain more, growth may gain as well.
    """
    if not WHERE[where].by_gain or len(tracks) <= finalists:
        return tracks, {}

    ranked = _most_gained(tracks, where)
    insertions = [track for track in ranked if KINDS[drafts[track.draft].kind].grows]
    kept = {track.draft for track in (*ranked[:finalists], *insertions[:1])}
    behind = {
        track.draft: f"behind after a first look, gain about {track.gain:.3g}"
        for track in tracks
        if track.draft not in kept
    }
    return [track for track in tracks if track.draft in kept], behind


def _most_gained(tracks: Sequence[Track], where: str) -> list[Track]:
    """By falling gain so far, as a strategy weighs it; of equal ones the simpler first, then the earlier one."""
    found = best_first(
        list(enumerate(tracks)),
        lambda each: promise(where, each[1].gain, *each[1].variant.cost),
        lambda each: (each[1].variant.cost.parameters, each[0]),
        lambda each: rounding(where, each[1].search.start, *each[1].variant.cost),
    )
    return [track for _, track in found]


def _tracks(evaluator: Evaluator, drafts: list[Proposal], glance: bool, amplitudes: Amplitudes) -> list[Track]:
    """A search for each variant, its neurons turned to their better side, which a glance at a part may tell."""
    variants = [
        (i, variant) for i, draft in enumerate(drafts) for variant in draft.variants if variant.trial.scaling.searched
    ]
    ready = [evaluator.with_norm_statistics(variant.trial) for _, variant in variants]
    # All samples will decide where these are a pilot only: one point less there.
    parabolas = 1 if evaluator.may_use_pilot else PARABOLAS
    tracks = []
    for (index, variant), oriented in zip(variants, evaluator.orient(ready, glance), strict=True):
        rule, given = amplitudes.rule(drafts[index].kind), oriented.trial.scaling.given
        pair = amplitudes.apart and oriented.has_companions
        alone = rule.search(oriented.scale, parabolas=parabolas, given=given) if pair else None
        search = rule.search(oriented.joint_scale, parabolas=parabolas, given=given)
        tracks.append(Track(index, variant, oriented, search, alone))
    return tracks


def _all_searches(tracks: Sequence[Track]) -> list[tuple[Trial, LineSearch]]:
    return [search for track in tracks for search in track.searches]


def _best_variants(evaluator: Evaluator, tracks: list[Track]) -> list[Track]:
    rivals: dict[int, list[Track]] = {}
    for track in tracks:
        rivals.setdefault(track.draft, []).append(track)
    best = {index: _most_gained(own, "gain")[0] for index, own in rivals.items()}
    evaluator.forget([track.trial for track in tracks if best[track.draft] is not track])
    return [best[index] for index in sorted(best)]


def _search_pairs(evaluator: Evaluator, tracks: list[Track], pilot: bool, amplitudes: Amplitudes) -> None:
    """Where new features and the updates with them have amplitudes of their own: the best pair."""
    asked = [Asked(t.first_order, t.search, t.alone, amplitudes) for t in tracks if t.alone is not None]
    pairs = iter(best_pairs(asked, partial(_run, evaluator, pilot=pilot)))
    for track in tracks:
        best = None if track.alone is None else next(pairs)
        if best is not None:
            track.search = settled(track.search, best.neurons, best.loss)
            track.ratio, track.alone = best.updates / best.neurons, None


def _run(
    evaluator: Evaluator,
    searches: list[tuple[Trial, LineSearch]],
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
