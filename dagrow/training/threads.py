"""How many threads a unit of a run computes with: small products gain nothing from a second one and wait for it.

On a machine that is busy with other work each wait may last a time slice, thousands of them in an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dagrow.graph import Dag, training_macs
from dagrow.training.sample_sizes import batch_that_fits, training_batch
from dagrow.training.schedules import Unit
from dagrow.training.state import RunContext, RunState

MACS_PER_THREAD = 2**22
"""Of the average layer and batch: fewer take less time than a thread takes to be woken."""


def use_threads(most: int | None) -> None:
    """Has torch compute with so many threads at most from now on; None leaves it as it is."""
    if most is not None:
        torch.set_num_threads(most)


def threads_worth(macs: float, available: int) -> int:
    """The number of threads for products of so many multiply-adds.

    Args:
        macs: of one product.
        available: threads at most.
    """
    return max(1, min(available, int(macs // MACS_PER_THREAD)))


def unit_macs(unit: Unit, context: RunContext, dag: Dag) -> float:
    """Multiply-adds of the average product in a unit.

    Training takes three of them per edge; a growth step those too, of more samples at a time, and the second moments of
    what a node reads.
    """
    training = training_macs(dag) / (3 * max(1, len(dag.spec.edges)))
    samples = len(context.split.train)
    if unit is not Unit.GROWTH:
        return training * min(samples, training_batch(context.spec, dag))
    moments = max(_read(dag, name) ** 2 * dag.merged(name).position_count for name in dag.order)
    return max(training, moments) * min(samples, batch_that_fits(dag))


def _read(dag: Dag, node: str) -> int:
    """Features that a node reads at a position."""
    edges = [edge for edge in dag.incoming[node] if dag.op(edge).parametrised]
    return sum(dag.op(edge).feature_count(dag.output(edge.source)) for edge in edges)


@contextmanager
def threads_of(unit: Unit, context: RunContext, state: RunState) -> Iterator[int]:
    """Computes with as many threads as a unit is worth; afterwards with as many as before."""
    available = torch.get_num_threads()
    chosen = threads_worth(unit_macs(unit, context, state.network.dag), available)
    torch.set_num_threads(chosen)
    try:
        yield chosen
    finally:
        torch.set_num_threads(available)
