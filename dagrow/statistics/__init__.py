"""One pass over data to moments: sums and counts, and what they are sums of."""

from dagrow.statistics.activation_cache import CACHE_BYTES, ActivationCache, CachedBatch, check_loss
from dagrow.statistics.bottleneck import NodeBottleneck, node_bottlenecks
from dagrow.statistics.collect_moments import Statistics, collect, watched
from dagrow.statistics.indexed_batches import FEW_SAMPLES, Batch, IndexedBatches, LossFunction, gathered, joined, rows
from dagrow.statistics.moment_accumulator import UpdateTarget
from dagrow.statistics.node import (
    NodeMoments,
    bias_is_trained,
    edge_widths,
    movable,
    node_features,
    solve_update,
    split_update,
    units_of,
    weight_is_frozen,
    weighted_edges,
)
from dagrow.statistics.sample_draws import lasting_edges
from dagrow.statistics.site import SiteLayout
from dagrow.statistics.sums import Sums

__all__ = [
    "CACHE_BYTES",
    "FEW_SAMPLES",
    "ActivationCache",
    "Batch",
    "CachedBatch",
    "IndexedBatches",
    "LossFunction",
    "NodeBottleneck",
    "NodeMoments",
    "SiteLayout",
    "Statistics",
    "Sums",
    "UpdateTarget",
    "bias_is_trained",
    "check_loss",
    "collect",
    "edge_widths",
    "gathered",
    "joined",
    "lasting_edges",
    "movable",
    "node_bottlenecks",
    "node_features",
    "rows",
    "solve_update",
    "split_update",
    "units_of",
    "watched",
    "weight_is_frozen",
    "weighted_edges",
]
