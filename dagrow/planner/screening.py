"""Which places are worth solving: all of a few, the most promising of many, and unions of good ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dagrow.graph import Dag, GrowableNode, NodeTemplate, NotGrowable
from dagrow.planner.kinds import CandidateType, Location
from dagrow.planner.kinds.node import between
from dagrow.ties import AGREE, best_first

UNION = 3
"""Parents or children that a union has at most."""
GOOD = 0.5
"""Bound of a member of a union, at least, relative to the best one; what agrees with that is good."""


class ScreeningEntry(NamedTuple):
    """A place of a kind."""

    kind: CandidateType
    place: Location


class Shortlist(NamedTuple):
    """What goes on to be solved.

    Attributes:
        entries: in the order of the graph.
        refused: places that turned out to be no places, and why.
        considered: how many there were.
    """

    entries: tuple[ScreeningEntry, ...]
    refused: tuple[NotGrowable, ...]
    considered: int


def shortlist(
    entries: Sequence[ScreeningEntry],
    keep: int,
    bounds_of: Callable[[Sequence[Location]], list[float]],
    worth: Callable[[Location, float], float],
    templates: Sequence[NodeTemplate],
) -> Shortlist:
    """Keeps what need not be screened, and the best of the rest.

    Args:
        entries: all legal places.
        keep: how many places go on where a choice is made, unions besides.
        bounds_of: what each of some places could gain.
        worth: the measure of the strategy, of a place and its bound.
        templates: of new nodes.
    """
    if sum(entry.kind.screened for entry in entries) <= 1:
        return _legal(entries, len(entries))
    screened = [entry for entry in entries if entry.kind.screened or entry.kind.competes]
    found = bounds_of([entry.place for entry in screened])
    bounds = {id(entry): bound for entry, bound in zip(screened, found, strict=True)}
    ranked = most_promising(screened, found, worth)
    out = {id(entry) for entry in ranked[keep:]}
    chosen = [entry for entry in entries if id(entry) not in out]
    unions = _unions([(entry, bounds[id(entry)]) for entry in ranked if entry.kind.joins], templates)
    return _legal([*chosen, *unions], len(entries) + len(unions))


def most_promising(
    entries: Sequence[ScreeningEntry], bounds: Sequence[float], worth: Callable[[Location, float], float]
) -> list[ScreeningEntry]:
    """Entries by falling worth; of those whose bounds agree, the one that comes first.

    Bounds are differences of losses, rounded in the size of the largest.
    """
    top = max(map(abs, bounds), default=0.0)
    order = best_first(
        range(len(entries)),
        lambda index: worth(entries[index].place, bounds[index]),
        lambda index: index,
        lambda index: worth(entries[index].place, AGREE * top),
    )
    return [entries[index] for index in order]


def _unions(ranked: Sequence[tuple[ScreeningEntry, float]], templates: Sequence[NodeTemplate]) -> list[ScreeningEntry]:
    """One new node for several good parents of the best child, one for several good children of the best parent."""
    if not ranked or ranked[0][1] <= 0:
        return []
    (kind, best), top = ranked[0]
    good = [e.place for e, b in ranked if b >= (GOOD - AGREE) * top and e.place.template == best.template]
    parents = [p.sources[0] for p in good if p.targets == best.targets][:UNION]
    children = [p.targets[0] for p in good if p.sources == best.sources][:UNION]
    found = []
    if len(parents) > 1:
        found.append(between(best.base, parents, best.targets, best.template, templates))
    if len(children) > 1:
        ordered = sorted(children, key=best.base.order.index)
        found.append(between(best.base, best.sources, ordered, best.template, templates))
    return [ScreeningEntry(kind, place) for place in found if isinstance(place, Location)]


def _legal(entries: Sequence[ScreeningEntry], considered: int) -> Shortlist:
    legal, refused = [], []
    for entry in entries:
        place = entry.place
        if place.activation is not None and not isinstance(place.site, GrowableNode):
            refused.append(NotGrowable(place.label, place.site.reason))
        else:
            legal.append(entry)
    return Shortlist(tuple(legal), tuple(refused), considered)


def burden(dag: Dag, place: Location, neurons: int) -> tuple[int, int]:
    """About how many parameters and multiply-adds a screened place adds, without its graph being made."""
    if place.structure is None:
        read = {edge: dag.op(edge) for edge in dag.incoming[place.node]}
    else:
        read = {edge: op for edge, op in place.structure.edges.items() if edge.source in place.sources}
    features = sum(op.feature_count(dag.output(edge.source)) for edge, op in read.items() if op.parametrised)
    written = sum(dag.size(v) for v in place.targets)
    positions = max(dag.merged(v).position_count for v in place.targets)
    only_edge = place.structure is not None and place.activation is None
    parameters = features * written if only_edge else neurons * (features + written + 1)
    return parameters, parameters * positions
