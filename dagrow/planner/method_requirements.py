"""What methods may need besides moments: who can give it, and how. A new need is a line in `NEEDS`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from dagrow.errors import GrowthError, listed
from dagrow.graph import Dag, GrowableNode, sites
from dagrow.methods import (
    EXISTING,
    GOAL,
    SAMPLES,
    SILENCE,
    Method,
    SiteMoments,
    find_fallback_method,
    find_method,
)
from dagrow.ops import ACTIVATIONS
from dagrow.planner.kinds.existing import existing_neurons
from dagrow.registry import Registry
from dagrow.spec.growth import GrowthSpec
from dagrow.statistics import ActivationCache, SiteLayout, Statistics

Supply = Callable[[SiteMoments, SiteLayout], SiteMoments]
"""Adds what is needed to the moments of one site."""


def _always(dag: Dag, kinds: Sequence[str], target: object) -> str:
    return ""


def _collected(snapshots: ActivationCache) -> Supply:
    return lambda moments, layout: moments


@dataclass(frozen=True)
class Need:
    """Something that methods may need.

    Attributes:
        missing: why it cannot be had: graph, kinds of candidates and, where they are known, the targets; empty if
            it can.
        supply: how it gets to the method; what is collected with the other moments is there already.
    """

    missing: Callable[[Dag, Sequence[str], object], str] = _always
    supply: Callable[[ActivationCache], Supply] = _collected


def check_needs(makers: Mapping[str, Method], dag: Dag, kinds: Sequence[str], target: object = None) -> None:
    """Refuses methods that cannot have what they need.

    Args:
        makers: the methods by their names: the one that is asked, and what completes it.
        dag: the graph that is to grow.
        kinds: of candidates that are asked for.
        target: of some samples, where they are known.

    Raises:
        GrowthError: that says what is missing, or that there is no such need.
    """
    for name, method in makers.items():
        for need in method.needs:
            if reason := NEEDS.find(need).missing(dag, kinds, target):
                raise GrowthError(f"method '{name}' {reason}")


def check_growth(growth: GrowthSpec, dag: Dag, target: object = None) -> None:
    """Refuses growth by methods that cannot have what they need; without steps, there is none.

    Args:
        growth: of a run.
        dag: its graph.
        target: of some samples, where they are known.

    Raises:
        GrowthError: as `check_needs`.
    """
    if growth.budget.steps:
        makers = {
            growth.fallback_method: find_fallback_method(growth.fallback_method),
            growth.method: find_method(growth.method),
        }
        check_needs(makers, dag, growth.candidates, target)


def supplied(statistics: Statistics, needs: Collection[str], snapshots: ActivationCache) -> Statistics:
    """The statistics with all that methods need besides, at each site."""
    sites = dict(statistics.sites)
    for need in needs:
        supply = NEEDS[need].supply(snapshots)
        sites = {label: supply(moments, statistics.layouts[label]) for label, moments in sites.items()}
    return replace(statistics, sites=sites)


def _no_silence(dag: Dag, kinds: Sequence[str], target: object) -> str:
    growing = [place.node for place in sites(dag) if isinstance(place, GrowableNode)]
    found = {dag.node(name).activation for name in growing}
    if tuple(kinds) != ("widen",) or not found or any(ACTIVATIONS[name].at_zero == 0 for name in found):
        return ""
    fit = listed(name for name, activation in ACTIVATIONS.items() if activation.at_zero == 0)
    bad = listed(sorted(found))
    return f"starts neurons with a fan-in of 0: it needs activations that are 0 there, not {bad}; allowed: {fit}"


def _supply_existing(snapshots: ActivationCache) -> Supply:
    return lambda moments, layout: replace(moments, existing=existing_neurons(snapshots.network, layout))


NEEDS: Registry[Need] = Registry(
    "need",
    {
        GOAL: Need(),
        SAMPLES: Need(),
        EXISTING: Need(supply=_supply_existing),
        SILENCE: Need(_no_silence),
    },
    error=GrowthError,
)
"""By the name that methods use."""
