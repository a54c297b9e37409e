"""What folding needs besides moments: that the network is a chain, and the chain itself with labelled samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from dagrow.contrib.folding.chain_edges import NoChain, chain_edges
from dagrow.contrib.folding.chain_samples import chain_of, judged, labels_problem
from dagrow.contrib.folding.relu_chain import CHAIN, ChainSamples
from dagrow.errors import listed
from dagrow.graph import Dag
from dagrow.methods import SiteMoments
from dagrow.planner.method_requirements import Need, Supply
from dagrow.statistics import ActivationCache, SiteLayout


def _no_chain(dag: Dag, kinds: Sequence[str], target: object) -> str:
    chain = chain_edges(dag)
    if isinstance(chain, NoChain):
        return f"needs a chain of linear edges with relu between them; in this graph {chain.reason}"
    if tuple(kinds) != ("widen",):
        return f"widens the layers of a chain: candidates must be [widen], not [{listed(kinds)}]"
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
        def here() -> ChainSamples:
            return replace(seen(), layer=layers[layout.site.node])

        return replace(moments, supplies={**moments.supplies, CHAIN: here})

    return supply


CHAIN_NEED = Need(_no_chain, _supply_chain)
