"""What folding needs besides moments: that the network is a chain, and the chain itself with labelled samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from dagrow.contrib.folding.chain_edges import NoChain, chain_edges
from dagrow.contrib.folding.chain_samples import chain_of, judged, labels_problem
from dagrow.contrib.folding.relu_chain import CHAIN, ChainSamples
from dagrow.errors import Problem, listed
from dagrow.graph import Dag
from dagrow.methods import METHODS, SiteMoments
from dagrow.planner.kinds.layer import NewLayer
from dagrow.planner.kinds.widen import Widen
from dagrow.planner.method_requirements import Need, Supply
from dagrow.spec import RunSpec
from dagrow.statistics import ActivationCache, SiteLayout


def _no_chain(dag: Dag, kinds: Sequence[str], target: object) -> str:
    chain = chain_edges(dag)
    if isinstance(chain, NoChain):
        return f"needs a chain of linear edges with relu between them; in this graph {chain.reason}"
    if not {*kinds} <= {Widen.name, NewLayer.name}:
        return f"widens and deepens a chain: candidates must be [widen] or [widen, layer], not [{listed(kinds)}]"
    problem = "" if target is None else labels_problem(target)
    return f"needs a classifier: {problem}" if problem else ""


def _supply_chain(snapshots: ActivationCache) -> Supply:
    edges = chain_edges(snapshots.dag)
    assert not isinstance(edges, NoChain)
    layers = {edge.target: number for number, edge in enumerate(edges)}

    @cache
    def seen() -> ChainSamples:
        chain = chain_of(snapshots.network, edges)
        return ChainSamples(chain, judged(snapshots, chain), layer=0)

    def supply(moments: SiteMoments, layout: SiteLayout) -> SiteMoments:
        if layout.site.node not in layers:
            # A layer that is not there yet keeps the function, whatever the samples say.
            return moments

        def here() -> ChainSamples:
            return replace(seen(), layer=layers[layout.site.node])

        return replace(moments, supplies={**moments.supplies, CHAIN: here})

    return supply


def chain_problems(run: RunSpec) -> list[Problem]:
    """New layers that would not go on with the chain, of a run that folds."""
    growth, found = run.growth, []
    if NewLayer.name in growth.candidates and CHAIN in METHODS[growth.method].needs:
        where = ("growth", "new_node")
        for field, wanted, given in (
            ("activation", "relu", growth.new_node.activation),
            ("norm", "none", growth.new_node.norm),
        ):
            if wrong := [name for name in given if name != wanted]:
                text = f"method '{growth.method}' deepens a chain of relu layers: {field} '{wanted}', not '{wrong[0]}'"
                found.append(Problem((*where, field), text))
    return found


CHAIN_NEED = Need(_no_chain, _supply_chain)
