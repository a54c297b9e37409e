"""Features of a growing node on their way to its children: norms, activations, pools, and how each child reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn, unflatten

from dagrow.build import Network
from dagrow.build.norm_entries import norm_entries
from dagrow.graph import Consumer, Dag
from dagrow.ops import NORMS
from dagrow.stages import FLATTENED, POSITIONED, STAGES, NodeTail, Stage, run_stages
from dagrow.statistics.site import SiteLayout

Norming = Callable[[str, Tensor], Tensor]
"""Some features of a node as its norm makes them."""


def activation(dag: Dag, name: str) -> Callable[[Tensor], Tensor]:
    """Norm, activation and pool of a node on some new features, positions in, positions out."""
    shape, pooled, norming = dag.merged(name), dag.pooled(name), _of_these_values(dag)

    def activate(z: Tensor) -> Tensor:
        return pooled.to_positions(_passed(dag, name, shape.from_positions(z), norming))

    return activate


def reader(layout: SiteLayout, reading: Consumer) -> Callable[[Tensor], Tensor]:
    """How a child reads new features: ``[n, P', K]`` to ``[n, Q, K, fan_out]``."""
    pooled, norming = layout.dag.pooled(layout.site.node), _of_these_values(layout.dag)

    def read(h: Tensor) -> Tensor:
        return _read(layout, reading, pooled.from_positions(h), norming, layout.pointwise)

    return read


def writer(network: Network, layout: SiteLayout) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]] | None:
    """What each child reads of existing neurons, see `SiteSamples.there`; None of a node that is not there yet."""
    dag, node = layout.dag, layout.site.node
    if node not in network.spec.nodes:
        return None
    shape = dag.merged(node)

    def there(z: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        norming = _as_they_are(network, layout, index)
        h = _passed(dag, node, shape.from_positions(z), norming)
        return tuple(_read(layout, reading, h, norming, pointwise=False) for reading in layout.site.readings)

    return there


def _read(layout: SiteLayout, reading: Consumer, h: Tensor, norming: Norming, pointwise: bool) -> Tensor:
    """Features that a node hands on, in its own shape, as a child reads each of them."""
    dag, K = layout.dag, h.shape[layout.dag.pooled(layout.site.node).batch_axis]
    x = _passed(dag, layout.site.node, h, norming, FLATTENED)
    for name in reading.through:
        x = _passed(dag, name, x, norming, STAGES)
    if reading.flattened:
        return unflatten(x, 1, (K, -1)).unsqueeze(1)
    return dag.op(reading.edge).fan_out_features(x, x.shape[dag.output(reading.edge.source).batch_axis], pointwise)


def _passed(dag: Dag, name: str, z: Tensor, norming: Norming, stages: Sequence[Stage] = POSITIONED) -> Tensor:
    """Stages of a node; nothing is dropped."""
    return run_stages(name, dag.node(name), dag.merged(name), z, NodeTail(norming), stages)


def _of_these_values(dag: Dag) -> Norming:
    """With the statistics of these very values, and nothing learned."""

    def norming(name: str, z: Tensor) -> Tensor:
        nothing = z.new_zeros(z.shape[dag.merged(name).batch_axis])
        return NORMS[dag.node(name).norm].normalise(z, nothing, nothing, nn.Identity())

    return norming


def _as_they_are(network: Network, layout: SiteLayout, index: Tensor) -> Norming:
    """With what the norms hold for some existing neurons; in train mode, with the statistics of these values."""
    entries = norm_entries(network, layout.site, index)

    def norming(name: str, z: Tensor) -> Tensor:
        norm, (statistics, learned) = NORMS[layout.dag.node(name).norm], entries[name]
        z = norm.normalise(z, *statistics, network.get_submodule(f"{name}.norm"))
        return z if learned is None else norm.scaled(z, *learned)

    return norming
