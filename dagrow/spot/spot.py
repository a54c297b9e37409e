"""One look at a network: the bottleneck of each node, and the measured gain of widening, by the growth planner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch

from dagrow.build import intact_network
from dagrow.errors import GrowthError, did_you_mean, listed
from dagrow.graph import Dag, GrowableNode, NotGrowable, sites
from dagrow.methods import find_fallback_method, find_method
from dagrow.planner import SHRINKAGES, Candidate, ordinary_mode, propose, untouched
from dagrow.renaming import renamed_keywords
from dagrow.spot.result import Spot, Widening
from dagrow.statistics import ActivationCache, IndexedBatches, LossFunction, node_bottlenecks, weighted_edges


@renamed_keywords(completion="fallback_method")
def spot(
    model: torch.fx.GraphModule,
    loss: LossFunction,
    data: Iterable[Any],
    *,
    neurons: int = 4,
    nodes: Sequence[str] | None = None,
    method: str = "tiny",
    fallback_method: str = "nonlinear",
    shrinkage: float | Literal["auto"] = "auto",
    held_out: float | None = None,
    significance: float = 1.0,
    seed: int = 0,
) -> Spot:
    """Says where a network is too narrow, and what widening it would gain. The network is not changed.

    Args:
        model: from `build`, in the mode (train or eval) in which losses count; device and dtype are its own.
        loss: ``(output, target) -> scalar``, the mean over the batch.
        data: batches ``(x, y)``; the same on every pass. Several inputs come as a tuple or a dict.
        neurons: new features whose gain is measured, at each node.
        nodes: the only nodes to look at; all if left out.
        method: how new features are made, see `METHODS`; one whose insertions have a gain at once.
        fallback_method: what makes them where ``tiny`` finds none.
        shrinkage: of the metric, ``auto`` lets held-out samples choose.
        held_out: share of the samples kept from the statistics, on which shares and gains are estimated; left out, a
            fifth with ``auto`` and none otherwise. Without, shares are too small and gains too large.
        significance: singular values must exceed this multiple of their noise level, and a held-out gain this
            multiple of its standard error, for growth to insert the features.
        seed: for methods that draw.

    Returns:
        The bottleneck of every node with weights, and the gain and cost of widening each node that can be.

    Raises:
        GrowthError: if there is no such node or method, or the method measures no gain.
        DataError: if the data are empty, or change from pass to pass.
    """
    network = intact_network(model)
    dag = network.dag
    asked = _asked(dag, nodes)
    found = [place for place in sites(dag) if place.node in asked]
    growable = {place.node: place for place in found if isinstance(place, GrowableNode)}
    # The planner checks all options and measures; no candidate may drop out before its gain is known.
    every = max(1, len(growable))
    plan = propose(
        network,
        loss,
        data,
        method=method,
        fallback_method=fallback_method,
        candidates=("widen",),
        nodes=tuple(growable),
        neurons=neurons,
        shrinkage=shrinkage,
        held_out=held_out,
        significance=significance,
        keep_below_noise=False,
        max_solved=every,
        max_searched=every,
        seed=seed,
    )
    if any(candidate.still for candidate in plan.candidates):
        raise GrowthError(f"method '{method}' inserts neurons that change nothing at first, so no gain can be measured")
    share = (0.2 if shrinkage == "auto" else 0.0) if held_out is None else held_out
    stream = IndexedBatches(data, network, share)
    with ordinary_mode(network), untouched(network):
        watched = tuple(node for node in asked if weighted_edges(dag, node))
        snapshots = ActivationCache(network, loss, stream, watched)
        bottlenecks = node_bottlenecks(snapshots, watched, SHRINKAGES if shrinkage == "auto" else (float(shrinkage),))
    removing = find_method(method).squared_scores and find_fallback_method(fallback_method).squared_scores
    widenings = [_widening(candidate, growable[candidate.place], removing) for candidate in plan.candidates]
    return Spot(
        graph=network.spec,
        loss=plan.loss,
        samples=plan.samples,
        held_out=0 if plan.held_out_loss is None else _held_out(snapshots),
        features=neurons,
        bottlenecks=bottlenecks,
        widenings=tuple(sorted(widenings, key=lambda each: -(each.gain if each.gain is not None else -float("inf")))),
        fixed=tuple(place for place in found if isinstance(place, NotGrowable)),
    )


def _asked(dag: Dag, nodes: Sequence[str] | None) -> tuple[str, ...]:
    """The nodes to look at, in the order of the graph.

    Raises:
        GrowthError: if there is no node of a name.
    """
    for name in nodes or ():
        if name not in dag.order:
            raise GrowthError(f"there is no node '{name}'{did_you_mean(name, dag.order)}; nodes: {listed(dag.order)}")
    return tuple(name for name in dag.order if nodes is None or name in nodes)


def _held_out(snapshots: ActivationCache) -> int:
    return sum(int(batch.held.sum()) for batch in snapshots.batches())


def _widening(candidate: Candidate, place: GrowableNode, removing: bool) -> Widening:
    estimate = candidate.estimate
    gain = error = None
    if estimate is not None:
        gain = estimate.gain if estimate.held_out_gain is None else estimate.held_out_gain
        error = estimate.standard_error
    relief = None
    if removing and candidate.bottleneck and candidate.neurons:
        relief = min(1.0, sum(score**2 for score in candidate.scores) / candidate.bottleneck)
    return Widening(
        node=candidate.place,
        readers=tuple(dict.fromkeys(reading.edge.target for reading in place.readings)),
        features=candidate.neurons,
        gain=gain,
        standard_error=error,
        relief=relief,
        cost=candidate.cost,
        reason=candidate.rejected,
    )
