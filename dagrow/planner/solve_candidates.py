"""Drafts of all places that were chosen: from moments everywhere, then by search on samples where these say nothing.

A search costs a thousand times what a closed form does, so all of them share one effort: few places are searched, the
most promising ones, and the more they are, the fewer shrinkages are tried at each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from dagrow.build import Network
from dagrow.distributed import ALONE, Processes
from dagrow.errors import NumbersError
from dagrow.graph import cost
from dagrow.mutation import frozen_problem
from dagrow.planner.kinds import Location, Proposal, SolveOptions
from dagrow.planner.screening import ScreeningEntry, most_promising
from dagrow.statistics import Statistics

SEARCHES = 3
"""Searches of one proposal, at most."""
SHRINKAGES = (1.0, 10.0, 0.1)
"""Tried at one place where they are to be chosen, the first ones where places are many. Searches see few samples, so
less than these fits them; on pixels, 1 and 10 gain most on other samples, 100 less."""
PASSES, LEAST = 0.5, 5e8
"""What all searches together may cost, about: this part of a forward and backward pass, but no fewer multiply-adds."""


def make_drafts(
    network: Network,
    entries: Sequence[ScreeningEntry],
    statistics: Statistics,
    ask: SolveOptions,
    bounds_of: Callable[[Sequence[Location]], list[float]],
    worth: Callable[[Location, float], float],
    processes: Processes = ALONE,
) -> list[Proposal]:
    """What to try at each place.

    Args:
        network: to be changed.
        entries: the places.
        statistics: over as many samples as are looked at.
        ask: what is asked of each.
        bounds_of: what each of some places could gain; asked only where they are many.
        worth: the measure of the strategy, of a place and its bound, by which places are chosen for a search.
        processes: that share out the solves; all of them get all drafts.
    """
    effort = max(LEAST, PASSES * 3.0 * cost(network.dag).multiply_adds * statistics.samples)
    # For methods that look at samples everywhere.
    shared = replace(ask.request, effort=max(LEAST / 4, effort / max(1, len(entries))))
    closed = replace(ask, samples=False, request=shared)
    drafts = _drafts(network, entries, statistics, closed, processes)
    open_ = [index for index, draft in enumerate(drafts) if draft.open]
    if not open_:
        return drafts
    if len(open_) > SEARCHES:
        places = [entries[index] for index in open_]
        bounds = bounds_of([entry.place for entry in places])
        promising = {id(entry) for entry in most_promising(places, bounds, worth)[:SEARCHES]}
        open_ = [index for index in open_ if id(entries[index]) in promising]
    shrinkages = ask.shrinkages if len(ask.shrinkages) == 1 else SHRINKAGES[: SEARCHES // len(open_)]
    each = replace(ask.request, effort=effort / (len(open_) * len(shrinkages)))
    search = replace(ask, shrinkages=shrinkages, request=each)
    searched = _drafts(network, [entries[index] for index in open_], statistics, search, processes)
    for index, draft in zip(open_, searched, strict=True):
        drafts[index] = replace(draft, completed=True)
    return drafts


def _drafts(
    network: Network, entries: Sequence[ScreeningEntry], statistics: Statistics, ask: SolveOptions, processes: Processes
) -> list[Proposal]:
    """Drafts of some places; of several processes, each solves a part for all of them first."""
    if processes.count > 1:
        _draw_together(statistics, ask)
        # One shrinkage after the other: a single place may be all there is to search.
        kept = replace(ask.solves, keeping=True)
        parts = [(entry, replace(ask, shrinkages=(s,), solves=kept)) for s in ask.shrinkages for entry in entries]
        for entry, own in parts[processes.part(0, len(parts))]:
            _draft(network, entry, statistics, own)
        ask.solves.share(processes, next(iter(network.parameters())).device)
    return [_draft(network, entry, statistics, ask) for entry in entries]


def _without_moving_frozen(network: Network, draft: Proposal) -> Proposal:
    """The draft without what would move frozen weights; methods that split neurons, say, or replace an edge."""
    problems = {id(v): frozen_problem(network, v.trial.scaled(1.0)) for v in draft.variants}
    variants = tuple(variant for variant in draft.variants if not problems[id(variant)])
    reason = draft.reason if variants or not draft.variants else problems[id(draft.variants[0])]
    return replace(draft, variants=variants, reason=reason)


def _draw_together(statistics: Statistics, ask: SolveOptions) -> None:
    """Has the processes exchange samples now, all of them at once, that a solve may ask for."""
    for moments in statistics.sites.values():
        if ask.may_search and moments.samples is not None:
            moments.samples()
        for supply in moments.supplies.values():
            supply()


def _draft(network: Network, entry: ScreeningEntry, statistics: Statistics, ask: SolveOptions) -> Proposal:
    """What to try at one place; where its numbers are none, nothing, and the others go on."""
    kind, place = entry
    try:
        return _without_moving_frozen(network, kind.draft(network, place, statistics, ask))
    except NumbersError as error:
        return Proposal(kind.name, place.label, (), str(error))
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return Proposal(kind.name, place.label, (), "its statistics have no solution that could be found")
