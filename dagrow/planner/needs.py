"""What methods may need besides moments: who can give it, and how. A new need is a line in `NEEDS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from dagrow.errors import GrowthError, listed
from dagrow.graph import Dag, NoChain, relu_chain
from dagrow.methods import CHAIN, ChainSamples, Method, SiteMoments
from dagrow.planner.kinds import Place
from dagrow.statistics import Snapshots, Statistics, chain_of, judged, labels_problem

Supply = Callable[[SiteMoments, Place], SiteMoments]
"""Adds what is needed to the moments at one place."""


@dataclass(frozen=True)
class Need:
    """Something that methods may need.

    Attributes:
        missing: why it cannot be had: graph, kinds of candidates and, where they are known, the targets; empty if
            it can.
        supply: how it gets to the method. Nothing is computed before the method asks.
    """

    missing: Callable[[Dag, Sequence[str], object], str]
    supply: Callable[[Snapshots], Supply]


def check_needs(name: str, method: Method, dag: Dag, kinds: Sequence[str], target: object = None) -> None:
    """Refuses a method that cannot have what it needs.

    Args:
        name: of the method.
        method: by that name.
        dag: the graph that is to grow.
        kinds: of candidates that are asked for.
        target: of some samples, where they are known.

    Raises:
        GrowthError: that says what is missing.
    """
    for need in method.needs:
        if reason := NEEDS[need].missing(dag, kinds, target):
            raise GrowthError(f"method '{name}' {reason}")


def supplied(statistics: Statistics, method: Method, snapshots: Snapshots, places: Sequence[Place]) -> Statistics:
    """The statistics with all that a method needs besides, at each of some places."""
    sites, by_label = dict(statistics.sites), {place.label: place for place in places}
    for need in method.needs:
        supply = NEEDS[need].supply(snapshots)
        sites = {label: supply(moments, by_label[label]) for label, moments in sites.items()}
    return replace(statistics, sites=sites)


def _no_chain(dag: Dag, kinds: Sequence[str], target: object) -> str:
    chain = relu_chain(dag)
    if isinstance(chain, NoChain):
        return f"needs a chain of linear edges with relu between them; in this graph {chain.reason}"
    if tuple(kinds) != ("widen",):
        return f"widens the layers of a chain: candidates must be [widen], not [{listed(kinds)}]"
    problem = "" if target is None else labels_problem(target)
    return f"needs a classifier: {problem}" if problem else ""


def _supply_chain(snapshots: Snapshots) -> Supply:
    edges = relu_chain(snapshots.dag)
    assert not isinstance(edges, NoChain)
    layers = {edge.target: number for number, edge in enumerate(edges)}

    @cache
    def seen() -> ChainSamples:
        chain = chain_of(snapshots.network, edges)
        return ChainSamples(chain, judged(snapshots, chain), layer=0)

    def supply(moments: SiteMoments, place: Place) -> SiteMoments:
        return replace(moments, chain=lambda: replace(seen(), layer=layers[place.node]))

    return supply


NEEDS: dict[str, Need] = {CHAIN: Need(_no_chain, _supply_chain)}
"""By the name that methods use."""
