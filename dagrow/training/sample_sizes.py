"""How many samples a growth step looks at, and in what portions."""

from __future__ import annotations

import math
from typing import Any

from dagrow.graph import Dag, NotGrowable, cost, sites
from dagrow.spec import FrozenDict, RunSpec
from dagrow.statistics import CACHE_BYTES

FEWEST = 4_000
"""Samples below which little stands out of the noise, whatever the rule says."""
_VALUES_PER_BATCH = 2**23
_BYTES_PER_VALUE = 4
"""Of float32."""


def samples_needed(dag: Dag, everywhere: bool = False) -> int:
    """The thesis' rule (D.4): ``(S W)^2 / P`` for the largest place, so that estimates keep their variance.

    S W is the number of features that a new neuron reads, P the positions that share its weights. No more than what
    a growth step can keep in memory, though: of more, each of its passes would have to compute all values again.

    Args:
        dag: the graph.
        everywhere: new nodes and edges may come between any two nodes, not only features where there is a site.
    """
    needed = 0
    for place in sites(dag):
        if isinstance(place, NotGrowable) and not everywhere:
            continue
        features = sum(
            dag.op(e).feature_count(dag.output(e.source)) for e in dag.incoming[place.node] if dag.op(e).parametrised
        )
        needed = max(needed, math.ceil(features**2 / dag.merged(place.node).position_count))
    return max(FEWEST, min(needed, CACHE_BYTES // (_BYTES_PER_VALUE * _values(dag, 2))))


def settled(run: RunSpec, samples: int) -> RunSpec:
    """The run with all that depends on the number of samples, see `settled_batch` and `settled_decay`."""
    training = run.training
    changed: dict[str, Any] = {"batch_size": settled_batch(samples)} if training.batch_size == "auto" else {}
    if run.training.weight_decay == "auto":
        options = FrozenDict({**training.optimizer.options, "weight_decay": settled_decay(samples)})
        optimizer = training.optimizer.model_copy(update={"options": options})
        changed["optimizer"] = optimizer
    return run.model_copy(update={"training": training.model_copy(update=changed)}) if changed else run


def settled_batch(samples: int) -> int:
    """``batch_size: auto``: a power of 2 near a sixteenth of the samples, from 16 to 128."""
    return int(2 ** min(7, max(4, int(math.log2(max(samples / 16, 1))))))


def settled_decay(samples: int) -> float:
    """``weight_decay: auto``: it falls with the number of samples, as the weight of a prior does.

    At a learning rate of 0.005 and batches of 128, weights are forgotten in some 36 passes then, whatever the size.
    """
    return min(1.0, 700 / max(1, samples))


def training_batch(run: RunSpec, dag: Dag) -> int:
    """Samples per gradient step; on request they grow with the root of the number of parameters (thesis D.4.1).

    The thesis' rule from step to step, ``b sqrt(C_(t+1) / C_t)``, comes to ``b sqrt(C / C_start)``.
    """
    batch = run.training.batch_size
    if batch == "auto":
        raise ValueError("the batch size is settled where the number of samples is known: see `settled`")
    if not run.training.scale_batch_size:
        return batch
    start = cost(Dag.of(run.graph)).parameters
    return max(1, round(batch * math.sqrt(cost(dag).parameters / max(1, start))))


def batch_that_fits(dag: Dag) -> int:
    """Samples per batch for statistics: all values of a batch together stay within some 32 MB."""
    return max(1, min(2_048, _VALUES_PER_BATCH // _values(dag, 1)))


def _values(dag: Dag, before: int) -> int:
    """Of one sample: inputs, outputs of nodes, and what comes before their activations so many times."""
    values = sum(before * math.prod(dag.merged(v)) + math.prod(dag.output(v)) for v in dag.order)
    return values + sum(math.prod(entry.shape) for entry in dag.spec.inputs.values())
