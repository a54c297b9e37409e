"""Comparing what `collect` returns with the loops, on both of its routes."""

import numpy as np
import reference_loops as loops
from reference_network import inputs_for, network, normal, sample_values, squared, stream

from dagrow.graph import site
from dagrow.statistics import ActivationCache, SiteLayout, UpdateTarget, collect, watched
from dagrow.statistics.activation_cache import CACHE_BYTES
from dagrow.statistics.moment_accumulator import MomentAccumulator

TIGHT = 1e-9
"""Relative to the largest entry: float64 sums of a few thousand products."""


def close(found, expected, tolerance=TIGHT, scale=None):
    """Equal up to ``tolerance`` of the scale: the largest expected entry if left out."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = max(np.abs(expected).max(initial=0.0), 1e-12) if scale is None else scale
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=tolerance)


def case(spec, samples=4, seed=0, loss=squared):
    """A network of a spec with data, and its values by hand, sample by sample."""
    model = network(spec, seed)
    x = inputs_for(spec, samples, seed)
    y = tuple(normal(samples, *model.dag.output(name), seed=seed + 50 + i) for i, name in enumerate(spec.outputs))
    y = y if len(y) > 1 else y[0]
    return model, x, y, sample_values(model, loss, x, y)


def collected(model, loss, data, nodes=(), sites=(), pointwise=False, cache_bytes=CACHE_BYTES, **options):
    """Statistics of some nodes, and of the sites at some nodes."""
    places = [site(model.dag, name) for name in sites]
    snapshots = ActivationCache(model, loss, data, watched(nodes, places), sites, cache_bytes=cache_bytes)
    layouts = [SiteLayout(model.dag, place, pointwise) for place in places]
    return collect(snapshots, targets=[UpdateTarget(name) for name in nodes], layouts=layouts, goal=True, **options)


def both_routes(monkeypatch, *arguments, **options):
    """`collected` with the cross moment, and with a second pass."""
    found = []
    for two in (False, True):
        monkeypatch.setattr(MomentAccumulator, "two_passes_are_cheaper", lambda task, two=two: two)
        found.append(collected(*arguments, **options))
    return found


def check_nodes(spec, samples=4, seed=0, loss=squared):
    """S, N and E||v_goal||^2 of every node that has weights."""
    model, x, y, values = case(spec, samples, seed, loss)
    nodes = [name for name in spec.nodes if loops.weighted(spec, name)]
    sizes = [1, samples - 1] if samples > 1 else [1]
    statistics = collected(model, loss, stream(model, x, y, sizes), nodes=nodes)
    assert statistics.samples == samples
    for node in nodes:
        S, N, squares = loops.node_moments(spec, node, values)
        close(statistics.nodes[node].S, S)
        close(statistics.nodes[node].N, N)
        close(statistics.nodes[node].v_goal_squared, squares)
    return statistics


def readings(spec, node, path=()):
    """Paths from a node to the edges that read it, through concats: ``[(path, edge)]``."""
    path = (*path, node)
    found = []
    for edge in spec.edges:
        if edge.source == node:
            if spec.edges[edge].name == "position":
                continue
            if spec.edges[edge].name == "identity":
                found += readings(spec, edge.target, path)
            else:
                found.append((path, edge))
    return found


def explicit_site(model, node, values, pointwise=False):
    """``S, N_goal, N_proj`` of a site by loops; children in the order of the DAG."""
    dag, spec = model.dag, model.spec
    ways = sorted(readings(spec, node), key=lambda way: dag.order.index(way[1].target))
    goal, proj, metrics = [], [], {}
    for path, edge in ways:
        v = [one.v_goal[edge.target] for one in values]
        goal.append(loops.site_moment(dag, path, edge, values, v, pointwise))
        proj.append(loops.site_moment(dag, path, edge, values, loops.residuals(dag, edge.target, values), pointwise))
        pools = tuple(name for name in path if spec.nodes[name].pool is not None)
        metrics.setdefault(pools, []).append(loops.site_metric(dag, path, edge, values, pointwise))
    # Children that read one image share a bound. Here they read it alike; for others see test_moments_conv.
    for same in metrics.values():
        for other in same[1:]:
            close(other, same[0])
    S, N_goal, N_proj = sum(same[0] for same in metrics.values()), np.hstack(goal), np.hstack(proj)
    if not any(getattr(spec.edges[e], "bias", False) for e in loops.incoming(spec, node)):
        S, N_goal, N_proj = S[:-1, :-1], N_goal[:-1], N_proj[:-1]
    return S, N_goal, N_proj


def check_site(monkeypatch, spec, node="h", samples=4, seed=0, pointwise=False):
    """S, N_goal and N_proj of a site against loops, on both routes."""
    model, x, y, values = case(spec, samples, seed)
    S, N_goal, N_proj = explicit_site(model, node, values, pointwise)
    sizes = [1, samples - 1] if samples > 1 else [1]
    data = stream(model, x, y, sizes)
    for statistics in both_routes(monkeypatch, model, squared, data, sites=[node], pointwise=pointwise):
        moments = statistics.sites[node]
        close(moments.S, S)
        close(moments.N_goal, N_goal)
        # v_proj may be 0: its moment is measured against that of v_goal. Its error is that of a solve.
        close(moments.N_proj, N_proj, tolerance=1e-7, scale=max(np.abs(N_goal).max(), 1e-12))
        assert moments.N_noise.shape[1:] == N_proj.shape
        assert bool(moments.N_noise.isfinite().all())
