"""One look at the data for all statistics; the residual from cross moments, or from a second pass.

What the existing weights of a child could do is taken off its desired update: ``v_proj = v_goal - dW* B``.
In one pass that needs the cross moment ``E[B_in^T B_child]``; in two, dW* is known before the second. For
convolutions the second pass is cheaper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.errors import NumbersError
from dagrow.graph import GrowableNode
from dagrow.methods import SiteMoments
from dagrow.statistics.activation_cache import ActivationCache
from dagrow.statistics.moment_accumulator import MomentAccumulator, UpdateTarget, explained
from dagrow.statistics.node import NodeMoments, solve_update
from dagrow.statistics.sample_draws import Draws
from dagrow.statistics.site import SiteLayout
from dagrow.statistics.sums import Sums


@dataclass(frozen=True)
class Statistics:
    """What one look at the data says.

    Attributes:
        nodes: moments per target, and of every child of a site.
        sites: moments per site, ready for a method.
        layouts: how the matrices of each site map to edges.
        samples: how many samples they are over.
    """

    nodes: dict[str, NodeMoments]
    sites: dict[str, SiteMoments]
    layouts: dict[str, SiteLayout]
    samples: int


def watched(nodes: Sequence[str], sites: Sequence[GrowableNode]) -> tuple[str, ...]:
    """The nodes whose desired updates `collect` needs: those asked for, and every child of a site."""
    children = [reading.edge.target for site in sites for reading in site.readings]
    return tuple(dict.fromkeys((*nodes, *children)))


def collect(
    snapshots: ActivationCache,
    *,
    targets: Sequence[UpdateTarget] = (),
    layouts: Sequence[SiteLayout] = (),
    goal: bool = False,
    noise: bool = True,
    precision: torch.dtype | None = None,
) -> Statistics:
    """Statistics over the samples that are not held out.

    Args:
        snapshots: of the network, with the desired updates of all `watched` nodes.
        targets: nodes whose best update is wanted.
        layouts: places whose new neurons are wanted.
        goal: the moment of ``v_goal`` itself is wanted as well.
        noise: the noise level is wanted; without it, it is 0.
        precision: dtype of the products; that of the values if left out. Sums are float64 in any case.

    Returns:
        Means over samples; sums over positions within each.
    """
    if not targets and not layouts:
        return Statistics({}, {}, {}, 0)
    sites = [layout.site for layout in layouts]
    wanted = {target.key: target for target in (*targets, *map(UpdateTarget, watched((), sites)))}
    tally = MomentAccumulator(snapshots.dag, layouts, tuple(wanted.values()), noise, precision, snapshots.frozen)
    two_passes = tally.two_passes_are_cheaper(snapshots.will_fit())
    sums = Sums()
    for snapshot in snapshots.passing(goals=True):
        tally.first_pass(snapshot, sums, goal=goal or not two_passes, cross=not two_passes)
    processes = snapshots.stream.processes
    sums.join(processes)
    node_moments = {target.key: tally.node_moments(target.key, sums) for target in tally.targets}
    updates = {node: _update(snapshots, node, node_moments[node]) for node in watched((), sites)}
    if two_passes:
        residual = Sums()
        for snapshot in snapshots.passing(goals=True):
            tally.second_pass(snapshot, residual, updates)
        residual.join(processes)
    else:
        residual = tally.residual_from_cross(sums, node_moments, updates)
    draws = Draws(snapshots, layouts, goal)
    left = {node: node_moments[node].v_goal_squared - explained(node_moments[node], dW) for node, dW in updates.items()}
    moments = {layout.key: tally.site_moments(layout, sums, residual, left, draws.of(layout)) for layout in layouts}
    return Statistics(node_moments, moments, {layout.key: layout for layout in layouts}, sums.samples)


def _update(snapshots: ActivationCache, node: str, moments: NodeMoments) -> Tensor:
    """The best update of a child; none where its statistics are no numbers, which must not stop the others."""
    try:
        return solve_update(snapshots.dag, node, moments, frozen=snapshots.frozen)
    except NumbersError:
        return moments.S.new_zeros(moments.N.shape[1], moments.S.shape[0])
