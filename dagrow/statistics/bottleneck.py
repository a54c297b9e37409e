"""The expressivity bottleneck of nodes: the share of a desired update that the existing weights cannot supply.

For a node with features B and desired update v_goal, the best update dW* of the weights that lead into it leaves
``v_proj = v_goal - dW* B`` (thesis eq. 3.16). Its share is ``E||v_proj||^2 / E||v_goal||^2``, from 0 (all can be
supplied) to 1 (nothing can). On the very samples that dW* was fitted to, the share is too small, and 0 where features
are as many as samples. So it is estimated on held-out samples where there are some, with the ridge of dW* that leaves
least there.

The estimate is a ratio of two means over samples; its standard error is that of its linearisation,
``sqrt(sum_i (r_i - share g_i)^2 n / (n - 1)) / sum_i g_i`` with ``r_i = ||v_proj||^2`` and ``g_i = ||v_goal||^2`` of
sample i, positions summed (Cochran, Sampling Techniques, 1977, eq. 6.13).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.build import output_of
from dagrow.statistics.activation_cache import ActivationCache, CachedBatch
from dagrow.statistics.collect_moments import Statistics, collect
from dagrow.statistics.moment_accumulator import UpdateTarget, explained
from dagrow.statistics.node import NodeMoments, solve_update, without_update
from dagrow.statistics.sums import Sums

_AT_ONCE = 2**23
"""Values of desired updates that are looked at together, about."""


@dataclass(frozen=True)
class NodeBottleneck:
    """What the weights that lead into one node cannot supply of its desired update.

    Attributes:
        node: its name.
        desired_power: ``E||v_goal||^2`` of the samples that the share is estimated on.
        share: ``E||v_proj||^2 / E||v_goal||^2`` there; None where no update is desired.
        standard_error: of the share; None for fewer than two samples.
        fitted_share: the same on the samples that the best update was fitted to, without a ridge: a lower bound.
        shrinkage: of the best update that ``share`` is of.
    """

    node: str
    desired_power: float
    share: float | None
    standard_error: float | None
    fitted_share: float | None
    shrinkage: float


def node_bottlenecks(
    snapshots: ActivationCache, nodes: Sequence[str], shrinkages: Sequence[float] = (0.0,)
) -> tuple[NodeBottleneck, ...]:
    """The bottleneck of some nodes, on held-out samples if the stream has some, else on all.

    Args:
        snapshots: of the network, with the desired updates of these nodes.
        nodes: with weights that lead into them.
        shrinkages: of the best update; of several, each node takes the one that leaves least.

    Raises:
        NumbersError: if values or gradients are infinite or NaN.
    """
    if not nodes:
        return ()
    statistics = collect(snapshots, targets=[UpdateTarget(node) for node in nodes], noise=False)
    # Of so few samples that none was held out, all do both jobs.
    apart = statistics.samples < snapshots.stream.samples
    tried = tuple(shrinkages) if apart else tuple(shrinkages)[:1]
    updates = {(node, rho): _update(snapshots, statistics, node, rho) for node in nodes for rho in tried}
    sums = Sums()
    for snapshot in snapshots.passing(goals=True):
        held = snapshot.batch.held
        chosen = (held if apart else torch.ones_like(held)).nonzero().squeeze(1)
        sums.count(len(chosen))
        for node in nodes:
            for part in torch.split(chosen, _portion(snapshot, node)) if len(chosen) else ():
                _add(sums, snapshots, snapshot, node, part, {rho: updates[node, rho] for rho in tried})
    sums.join(snapshots.stream.processes)
    fitted = {node: _fitted(statistics.nodes[node], _update(snapshots, statistics, node, 0.0)) for node in nodes}
    return tuple(_estimate(node, fitted[node], sums, tried) for node in nodes)


def _update(snapshots: ActivationCache, statistics: Statistics, node: str, shrinkage: float) -> Tensor:
    return solve_update(snapshots.dag, node, statistics.nodes[node], shrinkage, frozen=snapshots.frozen)


def _portion(snapshot: CachedBatch, node: str) -> int:
    return max(1, _AT_ONCE // max(1, snapshot.goals[node][:1].numel()))


def _add(
    sums: Sums,
    snapshots: ActivationCache,
    snapshot: CachedBatch,
    node: str,
    chosen: Tensor,
    updates: dict[float, Tensor],
) -> None:
    """Adds, per shrinkage, the sums of ``g, r, g^2, r g, r^2`` over the chosen samples of a batch."""
    dag, v = snapshots.dag, snapshot.goals[node][chosen]
    desired = v.double().flatten(1).square().sum(1)
    for shrinkage, dW in updates.items():
        left = without_update(
            dag, node, dW, v, lambda name: output_of(snapshot.values, dag, name, chosen), snapshots.frozen
        )
        remains = left.double().flatten(1).square().sum(1)
        products = (desired, remains, desired.square(), remains * desired, remains.square())
        sums.add(f"{node} at {shrinkage}", torch.stack([product.sum() for product in products]))


def _fitted(moments: NodeMoments, dW: Tensor) -> float | None:
    """The share on the samples that the update was fitted to."""
    total = moments.v_goal_squared
    return max(0.0, 1.0 - explained(moments, dW) / total) if total > 0 else None


def _estimate(node: str, fitted: float | None, sums: Sums, shrinkages: Sequence[float]) -> NodeBottleneck:
    n = sums.samples
    found = {shrinkage: sums.total(f"{node} at {shrinkage}").tolist() for shrinkage in shrinkages}
    # Of equal ones the least shrinkage.
    best = min(found, key=lambda shrinkage: found[shrinkage][1])
    g, r, gg, rg, rr = found[best]
    if g == 0.0:
        return NodeBottleneck(node, 0.0, None, None, fitted, best)
    share = r / g
    spread = max(0.0, rr - 2 * share * rg + share**2 * gg)
    error = (spread * n / (n - 1)) ** 0.5 / g if n > 1 else None
    return NodeBottleneck(node, g / n, share, error, fitted, best)
